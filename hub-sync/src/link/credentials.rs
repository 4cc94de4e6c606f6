//! Builds the hub's client from its kubeconfig, and anew whenever a file it was made of changes.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use tracing::{info, warn};

use crate::kube_error::{ANSWER, chain};
use crate::link::client::{Built, Link};
use crate::link::kubeconfig::{self, Fingerprint, Snapshot};

/// Between looks at the files. The kubelet itself takes up to a minute to bring a renewed Secret.
const PERIOD: Duration = Duration::from_secs(15);

/// Nothing read for so long: the connection is dead. A watch says something at least once a minute.
const SILENCE: Duration = Duration::from_secs(75);

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::Error),
    #[error("use the kubeconfig")]
    Config(#[source] kube::config::KubeconfigError),
    #[error("build a client from the kubeconfig")]
    Client(#[source] kube::Error),
}

/// A kubeconfig under observation.
pub struct Credentials {
    path: PathBuf,
    used: Option<Fingerprint>,
    /// What is wrong, so that it is logged once.
    complaint: Option<String>,
}

impl Credentials {
    pub fn new(path: PathBuf) -> Self {
        Self { path, used: None, complaint: None }
    }

    /// Waits until there is a kubeconfig that can be used.
    pub async fn first(&mut self) -> Built {
        loop {
            if let Some(built) = self.renewed().await {
                return built;
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Follows the files for good. What cannot be used, such as a rotation half written, changes nothing.
    pub async fn follow(mut self, link: Link) {
        loop {
            let _ = tokio::time::timeout(PERIOD, link.doubted()).await;
            if let Some(built) = self.renewed().await {
                link.swap(built);
            }
        }
    }

    /// A client, if it can be built and would be another one than the last.
    async fn renewed(&mut self) -> Option<Built> {
        match self.attempt().await {
            Ok(built) => {
                self.complaint = None;
                built
            }
            Err(error) => {
                self.complain(chain(&error));
                None
            }
        }
    }

    async fn attempt(&mut self) -> Result<Option<Built>, Error> {
        let Snapshot { kubeconfig, fingerprint } = kubeconfig::read(&self.path)?;
        if self.used == Some(fingerprint) {
            return Ok(None);
        }
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .map_err(Error::Config)?;
        let address = config.cluster_url.clone();
        let client = Client::try_from(patient(config)).map_err(Error::Client)?;
        info!(hub = %address, "hub credentials loaded");
        self.used = Some(fingerprint);
        Ok(Some(Built { client, address }))
    }

    fn complain(&mut self, complaint: String) {
        if self.complaint.as_ref() != Some(&complaint) {
            warn!(error = complaint, "cannot use the hub's kubeconfig, will look again");
            self.complaint = Some(complaint);
        }
    }
}

/// Retries are ours, so that delays are known; a dead connection is noticed while the link is idle, too.
fn patient(mut config: Config) -> Config {
    config.default_retry = false;
    config.connect_timeout = Some(ANSWER);
    config.write_timeout = Some(ANSWER);
    config.read_timeout = Some(SILENCE);
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
        assert!(credentials.renewed().await.is_none());
        std::fs::write(&path, kubeconfig("one")).unwrap();
        assert!(credentials.renewed().await.is_some());
        assert!(credentials.renewed().await.is_none());
        std::fs::write(&path, kubeconfig("two")).unwrap();
        assert!(credentials.renewed().await.is_some());
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_complained_about_and_forgotten_when_mended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let mut credentials = Credentials::new(path.clone());
        std::fs::write(&path, kubeconfig("one")).unwrap();
        assert!(credentials.renewed().await.is_some());
        std::fs::write(&path, kubeconfig("one").replace("token: one", "client-certificate: none"))
            .unwrap();
        assert!(credentials.renewed().await.is_none());
        assert!(credentials.complaint.is_some());
        std::fs::write(&path, kubeconfig("one")).unwrap();
        assert!(credentials.renewed().await.is_none(), "the client in use is the right one");
        assert!(credentials.complaint.is_none());
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
