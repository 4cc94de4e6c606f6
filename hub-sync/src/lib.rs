//! What flows between an add-on agent and its hub.
//!
//! Down: the version each add-on should run, from a `ManagedClusterAddOn` and its `AddOnTemplate` into a `ManagedAddOn`.
//! Up: what became of it, from the status of a `ManagedAddOn` as saved into a lease and conditions on the hub.
//! The hub may be away at any time; then the newest report waits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use lifecycle::ManagedAddOn;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// All that is needed to know one's hub and one's place there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The hub's kubeconfig; it may come later, change, or never be there.
    pub kubeconfig: PathBuf,
    /// This cluster's name, which is also its namespace on the hub.
    pub cluster: String,
    /// The agent's own namespace on the managed cluster.
    pub namespace: String,
}

/// The newest of every `ManagedAddOn`, by name.
pub type AddOns = Arc<BTreeMap<String, Arc<ManagedAddOn>>>;

/// How it stands with the hub, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubLink {
    pub connected: bool,
    pub last_contact: Option<Timestamp>,
}

/// Carries assignments down and reports up until `shutdown`. A hub that cannot be reached is normal.
pub async fn run(
    settings: Settings,
    _managed: kube::Client,
    _addons: watch::Receiver<AddOns>,
    _link: watch::Sender<HubLink>,
    shutdown: CancellationToken,
) {
    tracing::info!(cluster = settings.cluster, "hub-sync has nothing to do yet");
    shutdown.cancelled().await;
}
