//! The hub's credentials: builds a client from the kubeconfig, and another one whenever a file of it changes.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use tracing::{info, warn};

use crate::kube_error::{RESPONSE_TIMEOUT, chain};
use crate::link::client::{HubClient, Link};
use crate::link::kubeconfig::{self, Fingerprint, Snapshot};

/// Time between two reads of the files. The kubelet itself takes up to a minute to update a mounted Secret.
const RELOAD_PERIOD: Duration = Duration::from_secs(15);

/// Silence after which a connection counts as dead. A watch carries something at least once a minute.
const READ_TIMEOUT: Duration = Duration::from_secs(75);

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::Error),
    #[error("load the kubeconfig")]
    Config(#[source] kube::config::KubeconfigError),
    #[error("build a client from the kubeconfig")]
    Client(#[source] kube::Error),
}

/// A kubeconfig that is read again and again.
pub struct Credentials {
    path: PathBuf,
    /// Fingerprint of the files from which the client in use was built.
    in_use: Option<Fingerprint>,
    /// The last error, so that it is logged once.
    last_error: Option<String>,
}

impl Credentials {
    /// Returns the credentials in a kubeconfig that may not exist yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, in_use: None, last_error: None }
    }

    /// Waits until the kubeconfig can be used.
    pub async fn wait_for_client(&mut self) -> HubClient {
        loop {
            if let Some(client) = self.reload().await {
                return client;
            }
            tokio::time::sleep(RELOAD_PERIOD).await;
        }
    }

    /// Runs for good: replaces the link's client when the files have changed. Unusable files, such as those of an
    /// unfinished renewal, change nothing.
    pub async fn run(mut self, link: Link) {
        loop {
            let _ = tokio::time::timeout(RELOAD_PERIOD, link.unauthorized()).await;
            if let Some(client) = self.reload().await {
                link.replace(client);
            }
        }
    }

    /// Returns a new client if the files have changed and can be used.
    async fn reload(&mut self) -> Option<HubClient> {
        match self.build_client().await {
            Ok(client) => {
                self.last_error = None;
                client
            }
            Err(error) => {
                self.log_once(chain(&error));
                None
            }
        }
    }

    async fn build_client(&mut self) -> Result<Option<HubClient>, Error> {
        let Snapshot { kubeconfig, fingerprint } = kubeconfig::read(&self.path)?;
        if self.in_use == Some(fingerprint) {
            return Ok(None);
        }
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .map_err(Error::Config)?;
        let address = config.cluster_url.clone();
        let client = Client::try_from(with_timeouts(config)).map_err(Error::Client)?;
        info!(hub = %address, "hub credentials loaded");
        self.in_use = Some(fingerprint);
        Ok(Some(HubClient { client, address }))
    }

    fn log_once(&mut self, error: String) {
        if self.last_error.as_ref() != Some(&error) {
            warn!(error, "cannot use the hub's kubeconfig, will retry");
            self.last_error = Some(error);
        }
    }
}

/// Turns kube's own retries off, since `backoff` sets the delays, and detects a dead connection also while it is idle.
fn with_timeouts(mut config: Config) -> Config {
    config.default_retry = false;
    config.connect_timeout = Some(RESPONSE_TIMEOUT);
    config.write_timeout = Some(RESPONSE_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_is_built_once_for_each_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let mut credentials = Credentials::new(path.clone());
        assert!(credentials.reload().await.is_none());
        std::fs::write(&path, kubeconfig("one")).unwrap();
        assert!(credentials.reload().await.is_some());
        assert!(credentials.reload().await.is_none());
        std::fs::write(&path, kubeconfig("two")).unwrap();
        assert!(credentials.reload().await.is_some());
    }

    #[tokio::test]
    async fn an_error_is_kept_until_the_kubeconfig_is_repaired() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let mut credentials = Credentials::new(path.clone());
        std::fs::write(&path, kubeconfig("one")).unwrap();
        assert!(credentials.reload().await.is_some());
        std::fs::write(&path, kubeconfig("one").replace("token: one", "client-certificate: none"))
            .unwrap();
        assert!(credentials.reload().await.is_none());
        assert!(credentials.last_error.is_some());
        std::fs::write(&path, kubeconfig("one")).unwrap();
        assert!(credentials.reload().await.is_none(), "the client in use is the right one");
        assert!(credentials.last_error.is_none());
    }

    fn kubeconfig(token: &str) -> String {
        format!(
            r#"
current-context: c
contexts: [{{name: c, context: {{cluster: hub, user: agent}}}}]
clusters: [{{name: hub, cluster: {{server: "http://127.0.0.1:1"}}}}]
users: [{{name: agent, user: {{token: {token}}}}}]
"#
        )
    }
}
