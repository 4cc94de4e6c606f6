//! The managed cluster as the agent reaches it: as itself, and as the service accounts of add-ons.

pub mod access;
pub mod adoption;
pub mod crd_instances;
pub mod dry_run;
pub mod error;
pub mod fresh_form;
pub mod kinds;
pub mod living;
pub mod obsolete_fields;
pub mod ownership;
pub mod resolved;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use lifecycle::ServiceAccount;
use tower::util::MapResponseLayer;

use kinds::Kinds;

/// A request without an answer ends after this: a dead link must not block a rollout for ever.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// Shorter: a server in reach accepts a connection at once, however long it then works on a request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of cached clients of service accounts; far more than a cluster has add-ons.
const MAX_ACCOUNTS: usize = 256;

/// The connection to the managed cluster. Clones share it.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    agent: Client,
    watching: Client,
    accounts: Mutex<BTreeMap<ServiceAccount, Client>>,
    kinds: Kinds,
}

impl Cluster {
    /// Reads the kubeconfig, or the Pod's own credentials without one. Connects with the first request.
    pub async fn connect(kubeconfig: Option<&Path>) -> anyhow::Result<Self> {
        let mut config = read_config(kubeconfig).await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // Retries are the rollout's to count.
        config.default_retry = false;
        let watching = new_client(config.clone()).context("no client for the cluster")?;
        config.read_timeout = Some(READ_TIMEOUT);
        let agent = new_client(config.clone()).context("no client for the cluster")?;
        let kinds = Kinds::new(agent.clone());
        let inner = Inner { config, agent, watching, accounts: Mutex::default(), kinds };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns the address of the API server.
    pub fn url(&self) -> String {
        self.inner.config.cluster_url.to_string()
    }

    /// Returns the client with the agent's own rights.
    pub fn agent_client(&self) -> Client {
        self.inner.agent.clone()
    }

    /// Returns the agent's client for watches. It has no read timeout, because watches are silent for minutes.
    pub fn watch_client(&self) -> Client {
        self.inner.watching.clone()
    }

    /// Returns a client with the rights of a service account, which the API server enforces.
    pub fn account_client(&self, account: &ServiceAccount) -> Result<Client, kube::Error> {
        let mut accounts = self.inner.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = accounts.get(account) {
            return Ok(client.clone());
        }
        let client = new_client(impersonate(&self.inner.config, account)?)?;
        if accounts.len() >= MAX_ACCOUNTS {
            accounts.clear();
        }
        accounts.insert(account.clone(), client.clone());
        Ok(client)
    }

    pub fn kinds(&self) -> &Kinds {
        &self.inner.kinds
    }
}

fn impersonate(config: &Config, account: &ServiceAccount) -> Result<Config, kube::Error> {
    let mut config = config.clone();
    let user = HeaderValue::from_str(&account.user());
    let user = user.map_err(|e| kube::Error::HttpError(e.into()))?;
    config.headers.push((HeaderName::from_static("impersonate-user"), user));
    Ok(config)
}

fn new_client(config: Config) -> Result<Client, kube::Error> {
    let layer = MapResponseLayer::new(refuse_redirect);
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build())
}

/// Turns a redirect into an error. No API server redirects, so the answer is from something else on the way and is no
/// object.
fn refuse_redirect<B>(mut response: Response<B>) -> Response<B> {
    if response.status().is_redirection() {
        *response.status_mut() = StatusCode::BAD_GATEWAY;
    }
    response
}

async fn read_config(kubeconfig: Option<&Path>) -> anyhow::Result<Config> {
    match kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path)
                .with_context(|| format!("kubeconfig {} cannot be read", path.display()))?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("kubeconfig {} cannot be used", path.display()))
        }
        None => Config::incluster()
            .context("not in a cluster: give --kubeconfig to run the agent elsewhere"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_an_error() {
        let response = |code: u16| Response::builder().status(code).body(()).unwrap();
        let statuses =
            [200, 302, 307, 404].map(|code| refuse_redirect(response(code)).status().as_u16());
        assert_eq!(statuses, [200, 502, 502, 404]);
    }
}
