//! Carries assignments from the hub to the managed cluster, and reports from the managed cluster to the hub. The hub is
//! stock Open Cluster Management and may be unreachable for months.
//!
//! **Assignments** flow down. A `ManagedClusterAddOn` without a `ClusterManagementAddOn` of its name is stand-alone:
//! hub-sync turns its `AddOnTemplate` into a `ManagedAddOn`. An observed deletion of the `ManagedClusterAddOn` deletes the
//! `ManagedAddOn`; its absence does not. In a fleet the klusterlet's work agent assigns and removes. There hub-sync only asks the
//! hub whether a removal was ordered, and removes OCM's premature completions.
//!
//! **Reports** flow up. Each is a pure function of a saved `ManagedAddOn`: a status lease and conditions. Besides
//! reports the hub gets the agent's heartbeat and the removal of premature completions. While nothing changes, it gets the
//! heartbeat alone.
//!
//! ```text
//!   kubeconfig ─ credentials ─► client ◄───────── all requests to the hub
//!   hub ─────── watch ──► hub state ──────────┬─► assign ─────────────► ManagedAddOns
//!                                             │     └─ outcomes ──┐
//!   agent ──── newest ManagedAddOns ──────────┼─────────────────┬─┴─► publish ───────────► status leases, conditions
//!                                             ├─────────────────┼───► correct_completion ► lastAppliedConfig removed
//!                                             │                 ├───► confirm_removal ───► ManagedAddOns: ordered or evicted
//!                                             └─────────────────┴───► renew_health ──────► health leases (managed cluster)
//!                                                                     heartbeat ─────────► the agent's lease
//! ```
//!
//! Eight tasks run, each with state of its own: `credentials`, `watch`, `assign`, `publish`, `correct_completion`,
//! `confirm_removal`, `renew_health` and `heartbeat`. Their log lines carry these names as spans. Whole states flow between them, never
//! events, so that a task that was busy or offline acts on the newest state.
//!
//! Decisions are in files without I/O, such as `hub_state`, `assignments/tracker` or `reports/report`; these are marked as
//! pure. Each folder's parent file says which of its files decide and which talk to a cluster.

mod channels;
mod hub_state;
mod ocm;

mod link;

mod assignments;
mod fleet;

mod reports;

mod leases;

mod backoff;
mod kube_error;
mod names;

#[cfg(test)]
mod fixtures;

use std::path::PathBuf;

use tokio::sync::watch::{Receiver, Sender};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

use crate::assignments::assign::AssignTask;
use crate::channels::Inputs;
pub use crate::channels::{AddOns, LinkState};
use crate::fleet::confirm_removal::ConfirmRemovalTask;
use crate::fleet::correct_completion;
use crate::leases::{heartbeat, renew_health};
use crate::link::client::Link;
use crate::link::credentials::Credentials;
use crate::link::watch;
use crate::reports::publish::PublishTask;

/// The hub and this cluster's name on it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Path of the hub's kubeconfig. The file may appear later, change, or never exist.
    pub kubeconfig: PathBuf,
    /// This cluster's name, which is also its namespace on the hub.
    pub cluster: String,
}

/// Runs all tasks until `shutdown`. An unreachable hub is normal: it never ends them.
///
/// `managed` is a client of the managed cluster. `add_ons` has the newest version of every `ManagedAddOn`. `link_state` gets the
/// state of the connection to the hub.
pub async fn run(
    settings: Settings,
    managed: kube::Client,
    add_ons: Receiver<AddOns>,
    link_state: Sender<LinkState>,
    shutdown: CancellationToken,
) {
    shutdown.run_until_cancelled(run_tasks(settings, managed, add_ons, link_state)).await;
}

async fn run_tasks(
    settings: Settings,
    managed: kube::Client,
    add_ons: Receiver<AddOns>,
    link_state: Sender<LinkState>,
) {
    let Settings { kubeconfig, cluster } = settings;
    let mut credentials = Credentials::new(kubeconfig);
    let link = Link::new(credentials.wait_for_client().await, link_state.clone());
    let hub = link.client();

    let hub_state = Sender::default();
    let outcomes = Sender::default();
    let inputs = Inputs {
        hub_state: hub_state.subscribe(),
        add_ons: add_ons.clone(),
        outcomes: outcomes.subscribe(),
    };
    let credentials = credentials.run(link.clone());
    let assign = AssignTask::new(hub.clone(), managed.clone());
    let assign = assign.run(hub_state.subscribe(), add_ons.clone(), outcomes);
    let publish = PublishTask::new(hub.clone(), cluster.clone());
    let publish = publish.run(inputs.clone(), link_state.subscribe());
    let correct_completion = correct_completion::run(
        hub.clone(),
        cluster.clone(),
        hub_state.subscribe(),
        add_ons.clone(),
    );
    let confirm_removal = ConfirmRemovalTask::new(hub.clone(), &cluster, managed.clone());
    let confirm_removal = confirm_removal.run(add_ons, link_state.subscribe());
    let renew_health = renew_health::run(managed, inputs);
    let heartbeat = heartbeat::run(hub, cluster.clone(), link_state.subscribe());
    let watch = watch::run(link, cluster, hub_state, link_state.subscribe());

    tokio::join!(
        credentials.instrument(info_span!("credentials")),
        watch.instrument(info_span!("watch")),
        assign.instrument(info_span!("assign")),
        publish.instrument(info_span!("publish")),
        correct_completion.instrument(info_span!("correct_completion")),
        confirm_removal.instrument(info_span!("confirm_removal")),
        renew_health.instrument(info_span!("renew_health")),
        heartbeat.instrument(info_span!("heartbeat")),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The agent may spawn it or join it.
    #[test]
    fn the_future_of_run_can_be_spawned() {
        fn spawnable<T: Send>(_: impl FnOnce(Settings, kube::Client) -> T) {}
        spawnable(|settings, managed| {
            let (add_ons, link_state) = (Sender::default(), Sender::default());
            run(settings, managed, add_ons.subscribe(), link_state, CancellationToken::new())
        });
    }
}
