//! The real server behind a proxy.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::pki::{Authority, Identity};

/// A real server, to which a proxy sends requests.
pub struct Upstream {
    url: String,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Upstream {
    /// Returns an API server, which gets every request as `identity`, from any client.
    pub(crate) fn api(url: &str, authority: &Authority, identity: &Identity) -> Result<Self> {
        crate::clients::install_crypto();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(authority.der()))?;
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
        let config = ClientConfig::builder().with_root_certificates(roots);
        Ok(Self::with(url, config.with_client_auth_cert(vec![certificate], key)?))
    }

    /// Returns a file server without TLS.
    pub fn files(url: &str) -> Result<Self> {
        ensure!(url.starts_with("http://"), "{url} is not plain http");
        crate::clients::install_crypto();
        let config = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
        Ok(Self::with(url, config.with_no_client_auth()))
    }

    fn with(url: &str, config: ClientConfig) -> Self {
        let connector = HttpsConnectorBuilder::new().with_tls_config(config);
        let connector = connector.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { url: url.trim_end_matches('/').to_owned(), client }
    }

    pub(super) fn is_secure(&self) -> bool {
        self.url.starts_with("https")
    }

    /// Passes a request on and returns the answer, whose body may still arrive.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response<Incoming>> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = format!("{}{path}", self.url).parse::<Uri>()?;
        head.headers.remove(HOST);
        head.headers.remove(CONNECTION);
        let request = Request::from_parts(head, Full::new(body));
        let mut answer =
            self.client.request(request).await.context("send a request to the real server")?;
        answer.headers_mut().remove(TRANSFER_ENCODING);
        answer.headers_mut().remove(CONNECTION);
        Ok(answer)
    }
}
