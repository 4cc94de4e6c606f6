//! Stands between a client and one real server, passes everything on, and at one request of its script does what networks,
//! servers and power cuts do. It knows nothing of its client: any agent can be put behind it.

mod answers;
mod fault;
mod handle;
mod script;
mod upstream;
mod watched;

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

pub use fault::{Break, Fault, Moment, Outage, Refusal, Twist};
pub use script::{Counts, Fired, Inspect, Kill, Planned, Record, Script};
pub use upstream::Upstream;

use crate::pki::Authority;
use handle::Handler;

/// Gone when dropped, with all its connections.
pub struct FaultProxy {
    address: SocketAddr,
    /// Of the API server it plays; a file server is played without TLS, as it is.
    authority: Option<Authority>,
    task: JoinHandle<()>,
}

impl FaultProxy {
    /// Several proxies may follow one script: requests are then numbered across all of them, told apart by `name`.
    pub async fn start(
        name: &'static str,
        upstream: Upstream,
        script: Arc<Script>,
    ) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let authority = upstream.is_secure().then(Authority::new).transpose()?;
        let tls = authority.as_ref().map(|it| acceptor(it, Ipv4Addr::LOCALHOST)).transpose()?;
        let handler = Arc::new(Handler { name, upstream, script });
        let task = tokio::spawn(accept(listener, tls, handler));
        Ok(Self { address, authority, task })
    }

    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// With which a client reaches the API server through this proxy, as the user the proxy was given.
    pub fn kubeconfig(&self) -> Result<String> {
        let authority = self.authority.as_ref().context("this proxy plays no API server")?;
        Ok(authority.kubeconfig(&self.url(), &authority.client("behind-the-proxy", &[])?))
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn acceptor(authority: &Authority, address: Ipv4Addr) -> Result<TlsAcceptor> {
    let identity = authority.server(&[address])?;
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let config = ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, handler: Arc<Handler>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connected(stream, tls.clone(), handler.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// A client that goes away is no concern of the proxy's.
async fn connected(stream: TcpStream, tls: Option<TlsAcceptor>, handler: Arc<Handler>) {
    stream.set_nodelay(true).ok();
    match tls {
        None => serve(stream, handler).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, handler).await;
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, handler: Arc<Handler>) {
    let service = service_fn(|request| handler.handle(request));
    // What the script breaks ends as an error here, which closes the connection.
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
}
