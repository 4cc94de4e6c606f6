//! Asks a registry for manifests and blobs, by the OCI distribution specification, and logs in where it wants that.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lifecycle::bundle::oci_manifest::Repository;
use lifecycle::{Fault, printable};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION};
use reqwest::{Client, Response, StatusCode, Url};

use super::challenge::Challenge;
use super::{credentials, token};
use crate::actions::pull::client::Redirects;
use crate::actions::pull::transfer::send;
use crate::actions::pull::{PullSettings, lasting};

const MANIFESTS: &str = "manifests";
const BLOBS: &str = "blobs";

/// Docker wrote artifacts with a type of its own before there was OCI's.
/// An index is asked for to say that it is one.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

const ANYTHING: &str = "*/*";

/// Where Docker Hub's registry is, whatever its images' names say.
const DOCKER_HUB: &str = "registry-1.docker.io";

pub struct Registry<'a> {
    /// For the registry and its token server.
    client: Client,
    /// For where a registry sends those who fetch blobs: without credentials.
    elsewhere: Client,
    repository: &'a Repository,
    sources: &'a PullSettings,
    credentials: Option<HeaderValue>,
    /// What the registry was content with last.
    authorization: Mutex<Option<HeaderValue>>,
}

impl<'a> Registry<'a> {
    pub async fn new(sources: &'a PullSettings, repository: &'a Repository) -> Result<Self, Fault> {
        Ok(Self {
            client: sources.client(Redirects::AtHome).await?,
            elsewhere: sources.client(Redirects::Anywhere).await?,
            repository,
            sources,
            credentials: credentials::find(sources.registry_config(), repository).await?,
            authorization: Mutex::default(),
        })
    }

    pub async fn manifest(&self, digest: &str, from: u64) -> Result<Response, Fault> {
        self.get(MANIFESTS, digest, MANIFEST_TYPES, from).await
    }

    pub async fn blob(&self, digest: &str, from: u64) -> Result<Response, Fault> {
        self.get(BLOBS, digest, ANYTHING, from).await
    }

    /// A token may have run out since it was owner_files, so any answer may be a 401.
    async fn get(
        &self,
        kind: &str,
        digest: &str,
        accept: &str,
        from: u64,
    ) -> Result<Response, Fault> {
        let url = self.url(kind, digest)?;
        let mut response = self.ask(&url, accept, from).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.log_in(&response).await?;
            response = self.ask(&url, accept, from).await?;
        }
        match response.status() {
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(self.refused("", status, lock(&self.authorization).is_some()))
            }
            StatusCode::NOT_FOUND => Err(lasting(match kind {
                BLOBS => format!("a file that the manifest names is not there: {digest} (404)"),
                _ => {
                    format!("no manifest has {digest} (404 Not Found); oras push prints its digest")
                }
            })),
            StatusCode::BAD_REQUEST if url.scheme() == "http" => Err(lasting(
                "400 Bad Request, perhaps since it has TLS though --plain-http-registry says not"
                    .into(),
            )),
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => self.follow(&url, &response, from).await,
            _ => Ok(response),
        }
    }

    async fn ask(&self, url: &Url, accept: &str, from: u64) -> Result<Response, Fault> {
        let request = self.client.get(url.clone()).header(ACCEPT, accept);
        let authorization = lock(&self.authorization).clone();
        let request = match authorization {
            Some(header) => request.header(AUTHORIZATION, header),
            None => request,
        };
        send(request, from).await.map_err(hint)
    }

    /// To storage, as large registries have it: the URL itself says that it may be read.
    async fn follow(&self, url: &Url, response: &Response, from: u64) -> Result<Response, Fault> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let next = location.and_then(|location| url.join(location).ok());
        let next = next.ok_or_else(|| lasting("a redirect that leads nowhere".into()))?;
        let is_secure_enough = next.scheme() == "https" || url.scheme() == next.scheme();
        if !is_secure_enough || !next.username().is_empty() || next.password().is_some() {
            return Err(lasting("redirected to what is neither https nor without a name".into()));
        }
        let host = token::host(&next);
        send(self.elsewhere.get(next), from).await.map_err(|fault| Fault {
            message: printable(&format!("redirected to {host}: {}", fault.message)),
            ..fault
        })
    }

    fn url(&self, kind: &str, digest: &str) -> Result<Url, Fault> {
        let Repository { registry, name } = self.repository;
        let (host, name) = match registry.as_str() {
            "docker.io" if !name.contains('/') => (DOCKER_HUB, format!("library/{name}")),
            "docker.io" => (DOCKER_HUB, name.clone()),
            _ => (registry.as_str(), name.clone()),
        };
        let scheme = if self.sources.is_plain(registry) { "http" } else { "https" };
        Url::parse(&format!("{scheme}://{host}/v2/{name}/{kind}/{digest}"))
            .map_err(|error| lasting(format!("its name makes no URL: {error}")))
    }

    async fn log_in(&self, response: &Response) -> Result<(), Fault> {
        let refused = || self.refused("", response.status(), false);
        let header = match Challenge::read(response.headers()).ok_or_else(refused)? {
            Challenge::Basic => self.credentials.clone().ok_or_else(refused)?,
            Challenge::Bearer(bearer) => {
                let url = token::url(self.sources, &bearer, &self.repository.name)?;
                let fetched = token::fetch(&self.client, url, self.credentials.as_ref()).await?;
                let sent = self.credentials.is_some();
                fetched.map_err(|status| self.refused("the token server: ", status, sent))?
            }
        };
        *lock(&self.authorization) = Some(header);
        Ok(())
    }

    fn refused(&self, whose: &str, status: StatusCode, sent: bool) -> Fault {
        let registry = &self.repository.registry;
        let file = self.sources.registry_config().map(|file| file.display());
        lasting(match (file, &self.credentials) {
            (Some(file), Some(_)) if sent => {
                format!("{whose}the credentials in {file} are refused ({status})")
            }
            (_, Some(_)) => {
                format!("{whose}{status}, and credentials are not asked for as Basic or Bearer")
            }
            (Some(file), None) => {
                format!("{whose}credentials are wanted ({status}); {file} has none for {registry}")
            }
            (None, None) => {
                format!("{whose}credentials are wanted ({status}); give --registry-config")
            }
        })
    }
}

/// What plain HTTP looks like to those who expect TLS.
fn hint(fault: Fault) -> Fault {
    if !fault.message.contains("InvalidContentType") {
        return fault;
    }
    let message = format!("{}; if it has no TLS, see --plain-http-registry", fault.message);
    Fault { message: printable(&message), ..fault }
}

fn lock(authorization: &Mutex<Option<HeaderValue>>) -> MutexGuard<'_, Option<HeaderValue>> {
    authorization.lock().unwrap_or_else(PoisonError::into_inner)
}
