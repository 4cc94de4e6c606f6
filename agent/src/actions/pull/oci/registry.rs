//! Gets OCI manifests and blobs from a registry, by the OCI distribution specification, and authenticates if required.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lifecycle::bundle::repository::Repository;
use lifecycle::{Fault, printable};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION};
use reqwest::{Client, Response, StatusCode, Url};

use super::challenge::Challenge;
use super::{credentials, token};
use crate::actions::pull::client::{self, Redirects};
use crate::actions::pull::fault::permanent;
use crate::actions::pull::settings::PullSettings;
use crate::actions::pull::transfer::send;

/// Accepted types of manifests. Docker's type is older than OCI's. An index is accepted in order to reject it by name.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

/// The host of Docker Hub's registry, which is not the one in the names of its images.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// Access to one repository of a registry, for one pull.
pub struct Registry<'a> {
    /// For the registry and its token server.
    client: Client,
    /// For the servers to which a registry redirects requests for blobs: without credentials.
    anonymous_client: Client,
    repository: &'a Repository,
    settings: &'a PullSettings,
    credentials: Option<HeaderValue>,
    /// The header that the registry accepted last.
    authorization: Mutex<Option<HeaderValue>>,
}

/// An endpoint of the distribution API.
#[derive(Clone, Copy)]
enum Endpoint {
    Manifests,
    Blobs,
}

impl<'a> Registry<'a> {
    /// Reads the owner's files for a repository, without a request.
    ///
    /// # Errors
    /// `PullFailed` if certificate authorities or credentials cannot be used.
    pub async fn new(
        settings: &'a PullSettings,
        repository: &'a Repository,
    ) -> Result<Self, Fault> {
        let ca_bundle = settings.ca_bundle.as_deref();
        let config = settings.registry_config.as_deref();
        Ok(Self {
            client: client::new(ca_bundle, Redirects::SameServer).await?,
            anonymous_client: client::new(ca_bundle, Redirects::AnyServer).await?,
            repository,
            settings,
            credentials: credentials::find(config, repository).await?,
            authorization: Mutex::default(),
        })
    }

    /// Requests a manifest from an offset in bytes.
    ///
    /// # Errors
    /// `PullFailed`.
    pub async fn get_manifest(&self, digest: &str, offset: u64) -> Result<Response, Fault> {
        self.get(Endpoint::Manifests, digest, offset).await
    }

    /// Requests a blob from an offset in bytes.
    ///
    /// # Errors
    /// `PullFailed`.
    pub async fn get_blob(&self, digest: &str, offset: u64) -> Result<Response, Fault> {
        self.get(Endpoint::Blobs, digest, offset).await
    }

    /// Any response may be a 401, because a token may expire after it was accepted.
    async fn get(&self, endpoint: Endpoint, digest: &str, offset: u64) -> Result<Response, Fault> {
        let url = self.url(endpoint, digest)?;
        let mut response = self.request(endpoint, &url, offset).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.authenticate(&response).await?;
            response = self.request(endpoint, &url, offset).await?;
        }
        match response.status() {
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(self.access_denied("", status, lock(&self.authorization).is_some()))
            }
            StatusCode::NOT_FOUND => Err(not_found(endpoint, digest)),
            StatusCode::BAD_REQUEST if url.scheme() == "http" => Err(permanent(
                "400 Bad Request; if the registry has TLS, remove it from --plain-http-registry",
            )),
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => self.follow_redirect(&url, &response, offset).await,
            _ => Ok(response),
        }
    }

    async fn request(&self, endpoint: Endpoint, url: &Url, offset: u64) -> Result<Response, Fault> {
        let accept = match endpoint {
            Endpoint::Manifests => MANIFEST_TYPES,
            Endpoint::Blobs => "*/*",
        };
        let request = self.client.get(url.clone()).header(ACCEPT, accept);
        let authorization = lock(&self.authorization).clone();
        let request = match authorization {
            Some(header) => request.header(AUTHORIZATION, header),
            None => request,
        };
        send(request, offset).await.map_err(add_tls_hint)
    }

    /// Large registries redirect to a storage server, with a URL that carries the permission.
    async fn follow_redirect(
        &self,
        url: &Url,
        response: &Response,
        offset: u64,
    ) -> Result<Response, Fault> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let next = location.and_then(|location| url.join(location).ok());
        let next = next.ok_or_else(|| permanent("redirected without a valid location"))?;
        let is_secure_enough = next.scheme() == "https" || url.scheme() == next.scheme();
        if !is_secure_enough || !next.username().is_empty() || next.password().is_some() {
            return Err(permanent("redirected to a URL without https or with credentials in it"));
        }
        let host = token::host_of(&next);
        send(self.anonymous_client.get(next), offset).await.map_err(|fault| Fault {
            message: printable(&format!("redirected to {host}: {}", fault.message)),
            ..fault
        })
    }

    fn url(&self, endpoint: Endpoint, digest: &str) -> Result<Url, Fault> {
        let Repository { registry, name } = self.repository;
        let (host, name) = match registry.as_str() {
            "docker.io" if !name.contains('/') => (DOCKER_HUB, format!("library/{name}")),
            "docker.io" => (DOCKER_HUB, name.clone()),
            _ => (registry.as_str(), name.clone()),
        };
        let scheme = if self.settings.is_plain_http(registry) { "http" } else { "https" };
        let kind = match endpoint {
            Endpoint::Manifests => "manifests",
            Endpoint::Blobs => "blobs",
        };
        Url::parse(&format!("{scheme}://{host}/v2/{name}/{kind}/{digest}")).map_err(|error| {
            permanent(format!("the repository's name is invalid in a URL: {error}"))
        })
    }

    async fn authenticate(&self, response: &Response) -> Result<(), Fault> {
        let denied = || self.access_denied("", response.status(), false);
        let header = match Challenge::parse(response.headers()).ok_or_else(denied)? {
            Challenge::Basic => self.credentials.clone().ok_or_else(denied)?,
            Challenge::Bearer(bearer) => {
                let url = token::url(self.settings, &bearer, &self.repository.name)?;
                let token = token::fetch(&self.client, url, self.credentials.as_ref()).await?;
                let sent = self.credentials.is_some();
                token.map_err(|status| self.access_denied("token server: ", status, sent))?
            }
        };
        *lock(&self.authorization) = Some(header);
        Ok(())
    }

    /// `server` prefixes the message unless the registry itself answered. `sent`: the request had the credentials.
    fn access_denied(&self, server: &str, status: StatusCode, sent: bool) -> Fault {
        let registry = &self.repository.registry;
        let file = self.settings.registry_config.as_ref().map(|file| file.display());
        let message = match (file, &self.credentials) {
            (Some(file), Some(_)) if sent => {
                format!("the credentials in {file} were rejected ({status})")
            }
            (_, Some(_)) => format!("{status} without a Basic or Bearer challenge to authenticate"),
            (Some(file), None) => {
                format!("credentials are required ({status}); {file} has none for {registry}")
            }
            (None, None) => format!("credentials are required ({status}); set --registry-config"),
        };
        permanent(format!("{server}{message}"))
    }
}

fn not_found(endpoint: Endpoint, digest: &str) -> Fault {
    permanent(match endpoint {
        Endpoint::Manifests => format!(
            "no manifest with digest {digest} (404 Not Found); `oras push` prints the digest"
        ),
        Endpoint::Blobs => {
            format!("no file with digest {digest}, which the manifest lists (404 Not Found)")
        }
    })
}

/// Adds a hint to the error of a TLS client that meets a plain HTTP server.
fn add_tls_hint(fault: Fault) -> Fault {
    if !fault.message.contains("InvalidContentType") {
        return fault;
    }
    let message = format!("{}; if it has no TLS, set --plain-http-registry", fault.message);
    Fault { message: printable(&message), ..fault }
}

fn lock(authorization: &Mutex<Option<HeaderValue>>) -> MutexGuard<'_, Option<HeaderValue>> {
    authorization.lock().unwrap_or_else(PoisonError::into_inner)
}
