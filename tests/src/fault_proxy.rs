//! A proxy between a client and one real server. It passes everything on, except that it injects faults of networks, servers
//! and power cuts at the requests of its script. It knows nothing of its client, so that any agent can run behind it.

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

pub use fault::{Break, EventFault, Fault, Moment, Outage, Refusal};
pub use script::{Counts, Fired, Inspect, Kill, Planned, Record, Script};
pub use upstream::Upstream;

use crate::pki::Authority;
use handle::Handler;

/// A running proxy. It stops when dropped, with all its connections.
pub struct FaultProxy {
    address: SocketAddr,
    /// The authority of the API server that it stands for. A file server has no TLS, and neither has its proxy.
    authority: Option<Authority>,
    task: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts a proxy. Several proxies may follow one script, which then numbers the requests of all; `name` tells which
    /// proxy a request came to.
    pub async fn start(
        name: &'static str,
        upstream: Upstream,
        script: Arc<Script>,
    ) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let authority = upstream.is_secure().then(Authority::new).transpose()?;
        let tls = authority
            .as_ref()
            .map(|authority| acceptor(authority, Ipv4Addr::LOCALHOST))
            .transpose()?;
        let handler = Arc::new(Handler { name, upstream, script });
        let task = tokio::spawn(accept(listener, tls, handler));
        Ok(Self { address, authority, task })
    }

    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Returns the kubeconfig with which a client reaches the API server through this proxy, as the user of the proxy.
    pub fn kubeconfig(&self) -> Result<String> {
        let authority = self.authority.as_ref().context("this proxy stands for no API server")?;
        Ok(authority.kubeconfig(&self.url(), &authority.client("behind-the-proxy", &[])?))
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns an acceptor of TLS connections, with a certificate for `address`.
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
        connections.spawn(serve_connection(stream, tls.clone(), handler.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// Serves one connection. A client may go away at any time.
async fn serve_connection(stream: TcpStream, tls: Option<TlsAcceptor>, handler: Arc<Handler>) {
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
    // A fault of the script is an error here, which closes the connection.
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
}
