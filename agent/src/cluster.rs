//! The managed cluster as the agent reaches it: as itself, and as the service accounts whose rights add-ons have.

pub mod access;
pub mod crd_instances;
pub mod dry_run;
pub mod error;
pub mod resolved;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup;
use kube::api::Api;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{DynamicObject, GroupVersionKind, Status};
use kube::discovery::{ApiCapabilities, ApiResource, Scope};
use kube::{Client, Config};
use lifecycle::{Object, ServiceAccount};
use tower::util::MapResponseLayer;

use crate::cluster::error::{is_not_found, is_unknown_kind};

/// A request that is answered by nobody ends after this: a dead link must not hold a rollout for ever.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// Shorter: a server in reach takes a connection at once, however long it then works on a request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Service accounts whose clients are kept; far more than add-ons that a cluster has.
const MOST_ACCOUNTS: usize = 256;

#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    own: Client,
    watching: Client,
    accounts: Mutex<BTreeMap<ServiceAccount, Client>>,
    kinds: Mutex<BTreeMap<(String, String), Kind>>,
}

/// How to reach the objects of a kind.
#[derive(Clone, Debug)]
pub struct Kind {
    pub resource: ApiResource,
    pub namespaced: bool,
}

impl Cluster {
    pub async fn connect(kubeconfig: Option<&Path>) -> anyhow::Result<Self> {
        let mut config = config(kubeconfig).await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // Retries are the rollout's to count.
        config.default_retry = false;
        let watching = client(config.clone()).context("no client for the cluster")?;
        config.read_timeout = Some(READ_TIMEOUT);
        let own = client(config.clone()).context("no client for the cluster")?;
        let inner =
            Inner { config, own, watching, accounts: Mutex::default(), kinds: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// With the agent's own rights.
    pub fn own(&self) -> Client {
        self.inner.own.clone()
    }

    /// The same without a read timeout, for watches, which are silent for minutes.
    pub fn watching(&self) -> Client {
        self.inner.watching.clone()
    }

    /// With the rights of a service account, which the API server checks for us.
    pub fn as_account(&self, account: &ServiceAccount) -> Result<Client, kube::Error> {
        let mut accounts = self.inner.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = accounts.get(account) {
            return Ok(client.clone());
        }
        let mut config = self.inner.config.clone();
        let user =
            HeaderValue::from_str(&account.user()).map_err(|e| kube::Error::HttpError(e.into()))?;
        config.headers.push((HeaderName::from_static("impersonate-user"), user));
        let client = client(config)?;
        if accounts.len() >= MOST_ACCOUNTS {
            accounts.clear();
        }
        accounts.insert(account.clone(), client.clone());
        Ok(client)
    }

    /// Looks a kind up once; [`Cluster::forget`] is for when its definition may have changed.
    pub async fn kind(&self, object: &Object) -> Result<Kind, kube::Error> {
        let key = (object.api_version().to_owned(), object.kind().to_owned());
        if let Some(kind) = self.kinds().get(&key) {
            return Ok(kind.clone());
        }
        let version = object.api_version().split_once('/').map_or(object.api_version(), |(_, v)| v);
        let gvk = GroupVersionKind::gvk(object.group(), version, object.kind());
        let (resource, capabilities) = self.discover(&gvk).await?;
        let kind = Kind { resource, namespaced: capabilities.scope == Scope::Namespaced };
        self.kinds().insert(key, kind.clone());
        Ok(kind)
    }

    /// The kind in whatever version it is served: an object outlives the version that it was written in.
    pub async fn kind_of_any_version(&self, object: &Object) -> Result<Option<Kind>, kube::Error> {
        let groups = self.inner.own.list_api_groups().await?.groups;
        let group = groups.into_iter().find(|group| group.name == object.group());
        let mut failed = None;
        for version in group.into_iter().flat_map(|group| group.versions) {
            let gvk = GroupVersionKind::gvk(object.group(), &version.version, object.kind());
            match self.discover(&gvk).await {
                Ok((resource, capabilities)) => {
                    let namespaced = capabilities.scope == Scope::Namespaced;
                    return Ok(Some(Kind { resource, namespaced }));
                }
                Err(error) if is_unknown_kind(&error) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// A group that is listed and answers with 404 is not served for a moment: what is said of its kinds then, such as that
    /// there are none to remove, would be wrong.
    async fn discover(
        &self,
        gvk: &GroupVersionKind,
    ) -> Result<(ApiResource, ApiCapabilities), kube::Error> {
        let error = match kube::discovery::pinned_kind(&self.inner.own, gvk).await {
            Err(error) if is_not_found(&error) => error,
            found_or_failed => return found_or_failed,
        };
        if !is_listed(&self.inner.own.list_api_groups().await?.groups, gvk) {
            return Err(error);
        }
        let message = format!("{} is not served for a moment", gvk.api_version());
        let status = Status { code: 503, message, ..Status::default() };
        Err(kube::Error::Api(Box::new(status)))
    }

    pub fn forget(&self, api_version: &str, kind: &str) {
        self.kinds().remove(&(api_version.to_owned(), kind.to_owned()));
    }

    fn kinds(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Kind>> {
        self.inner.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kind {
    pub fn api(&self, client: Client, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => Api::namespaced_with(client, namespace, &self.resource),
            None => Api::all_with(client, &self.resource),
        }
    }
}

/// The core group is always served and never listed.
fn is_listed(groups: &[APIGroup], gvk: &GroupVersionKind) -> bool {
    let version = gvk.api_version();
    let mut listed = groups.iter().flat_map(|group| &group.versions);
    gvk.group.is_empty() || listed.any(|listed| listed.group_version == version)
}

/// No API server redirects: what does so is something else on the way there, and its answer is no object.
fn client(config: Config) -> Result<Client, kube::Error> {
    let layer = MapResponseLayer::new(not_moved);
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build())
}

fn not_moved<B>(mut answer: Response<B>) -> Response<B> {
    if answer.status().is_redirection() {
        *answer.status_mut() = StatusCode::BAD_GATEWAY;
    }
    answer
}

async fn config(kubeconfig: Option<&Path>) -> anyhow::Result<Config> {
    match kubeconfig {
        Some(path) => {
            let read = Kubeconfig::read_from(path)
                .with_context(|| format!("kubeconfig {} cannot be read", path.display()))?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("kubeconfig {} cannot be used", path.display()))
        }
        None => Config::incluster()
            .context("not in a cluster: give --kubeconfig to run the agent elsewhere"),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::GroupVersionForDiscovery;

    use super::*;

    #[test]
    fn only_a_version_that_nobody_lists_is_unknown() {
        let version = GroupVersionForDiscovery {
            group_version: "example.com/v1".into(),
            ..GroupVersionForDiscovery::default()
        };
        let groups = [APIGroup { versions: vec![version], ..APIGroup::default() }];
        let listed =
            |group, version| is_listed(&groups, &GroupVersionKind::gvk(group, version, "X"));
        assert!(listed("example.com", "v1") && listed("", "v1"));
        assert!(!listed("example.com", "v2") && !listed("other.example.com", "v1"));
    }

    #[test]
    fn what_a_redirect_says_is_an_error() {
        let answer = |code: u16| Response::builder().status(code).body(()).unwrap();
        let heard = [200, 302, 307, 404].map(|code| not_moved(answer(code)).status().as_u16());
        assert_eq!(heard, [200, 502, 502, 404]);
    }
}
