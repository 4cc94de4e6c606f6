//! What flows between an add-on agent and its hub. The hub is stock Open Cluster Management and may be away for months.
//!
//! **Down** flow assignments. A `ManagedClusterAddOn` without a `ClusterManagementAddOn` of its name is stand-alone:
//! its `AddOnTemplate` becomes a `ManagedAddOn`. Its deletion, when seen, deletes that `ManagedAddOn`; its absence does
//! not. In a fleet the klusterlet's work agent assigns and removes; here the hub is only asked whether a removal was
//! ordered, and OCM's rollout is put right where it noted success too early.
//!
//! **Up** flow reports, each a pure function of a `ManagedAddOn` as saved: a status lease and conditions. Little else
//! goes to the hub but a heartbeat, and nothing while nothing changes.
//!
//! ```text
//!   kubeconfig ─ reload ─► client ◄──────────── all requests to the hub
//!   hub ─────── watch ──► picture of the hub ─┬─► assign ──► ManagedAddOns
//!                                             │     └─ standings ─┐
//!   agent ──── newest ManagedAddOns ──────────┼─────────────────┬─┴─► publish ──────► status leases, conditions
//!                                             ├─────────────────┼───► latch ────────► lastAppliedConfig taken back
//!                                             │                 ├───► removal ──────► ManagedAddOns: ordered or evicted
//!                                             └─────────────────┴───► health leases (on the managed cluster)
//!                                                                     heartbeat
//! ```
//!
//! Eight tasks, each with its own state: `reload`, `watch`, `assign`, `publish`, `latch`, `removal`, `health_lease`,
//! `heartbeat`. Between them go whole pictures, never events, so that one that was busy or offline acts on the newest.
//! Decisions are in modules without I/O: `hub`, `assignment`, `claim`, `case`, `report`, `conditions`.

mod link;

mod hub_state;
mod ocm;

mod assignments;
mod fleet;

mod reports;

mod leases;

mod backoff;
mod kube_error;
pub mod names;

#[cfg(test)]
mod fixtures;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use lifecycle::ManagedAddOn;
use tokio::sync::watch as channel;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

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
    /// The last thing that was heard of the hub is that it answers, and knows us.
    pub connected: bool,
    pub last_contact: Option<Timestamp>,
}

/// Carries assignments down and reports up until `shutdown`. A hub that cannot be reached is normal.
pub async fn run(
    settings: Settings,
    managed: kube::Client,
    add_ons: channel::Receiver<AddOns>,
    link: channel::Sender<HubLink>,
    shutdown: CancellationToken,
) {
    shutdown.run_until_cancelled(work(settings, managed, add_ons, link)).await;
}

async fn work(
    settings: Settings,
    managed: kube::Client,
    add_ons: channel::Receiver<AddOns>,
    state: channel::Sender<HubLink>,
) {
    let Settings { kubeconfig, cluster, namespace: _ } = settings;
    let mut credentials = link::credentials::Credentials::new(kubeconfig);
    let link = link::client::Link::new(credentials.first().await, state.clone());
    let hub = link.client();

    let picture = channel::Sender::new(hub_state::HubState::default());
    let standings = channel::Sender::new(assignments::outcome::Standings::new());
    let sources = reports::publish::Sources {
        picture: picture.subscribe(),
        add_ons: add_ons.clone(),
        standings: standings.subscribe(),
        link: state.subscribe(),
    };
    let serving = leases::health::Sources {
        picture: picture.subscribe(),
        add_ons: add_ons.clone(),
        standings: standings.subscribe(),
    };
    let assign = assignments::assign::AssignTask::new(hub.clone(), managed.clone());
    let assign = assign.follow(picture.subscribe(), add_ons.clone(), standings);
    let publish = reports::publish::PublishTask::new(hub.clone(), cluster.clone()).follow(sources);
    let removal =
        fleet::removal_intent::RemovalIntentTask::new(hub.clone(), &cluster, managed.clone());
    let removal = removal.follow(add_ons.clone(), state.subscribe());
    let latch = fleet::premature_completion::follow(
        hub.clone(),
        cluster.clone(),
        picture.subscribe(),
        add_ons,
    );
    let heartbeat = leases::heartbeat::beat(hub, cluster.clone(), state.subscribe());

    tokio::join!(
        credentials.follow(link.clone()).instrument(info_span!("reload")),
        link::watch::follow(link, cluster, picture, state.subscribe())
            .instrument(info_span!("watch")),
        assign.instrument(info_span!("assign")),
        publish.instrument(info_span!("publish")),
        latch.instrument(info_span!("latch")),
        removal.instrument(info_span!("removal")),
        leases::health::follow(managed, serving).instrument(info_span!("health_lease")),
        heartbeat.instrument(info_span!("heartbeat")),
    );
}

/// Returns when there is something new; never, when whoever would say so is gone.
async fn changed<T>(receiver: &mut channel::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending().await
    }
}

/// Returns when the hub is back after it was away.
async fn recovered(link: &mut channel::Receiver<HubLink>) {
    let away = link.wait_for(|link| !link.connected).await.is_ok();
    if !away || link.wait_for(|link| link.connected).await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the agent spawns it or joins it is the agent's affair.
    #[test]
    fn it_can_be_spawned() {
        fn spawnable<T: Send>(_: impl FnOnce(Settings, kube::Client) -> T) {}
        spawnable(|settings, managed| {
            let (add_ons, link) = (channel::Sender::default(), channel::Sender::default());
            run(settings, managed, add_ons.subscribe(), link, CancellationToken::new())
        });
    }
}
