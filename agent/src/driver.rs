//! Drives one add-on: observe, step, save, act, and again.

mod act;
mod at_rest;
mod at_rest_state;
mod crash_suspects;
mod execute;
mod health;
mod observe;
mod release_cache;
mod releases;
mod removal;
mod report;
mod restart;
mod sightings;
mod stuck_pods;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use lifecycle::health::{Graces, Rules};
use lifecycle::{
    Assignment, Dependencies, Fault, ManagedAddOn, Outcome, PeerStates, Reason, ReleaseId, step,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::actions::evidence::EvidenceStore;
use crate::actions::health::CelWorker;
use crate::actions::pull::{PullSettings, PulledFiles};
use crate::cluster::Cluster;
use crate::observability::events::Events;
use crate::observability::metrics::Metrics;
use crate::storage::ledger::{Ledger, SaveOutcome, WatchNews, now};
use crate::storage::releases::ReleaseStore;
use crate::storage::successor::Successors;

use at_rest_state::AtRestState;
use release_cache::ReleaseCache;

pub use at_rest_state::WatchSettings;
pub use crash_suspects::CrashSuspects;
pub use sightings::KnownSightings;

/// Time between two attempts to reach an API server that does not answer.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(1);

/// What all drivers share.
pub struct Shared {
    pub cluster: Cluster,
    pub namespace: String,
    pub metrics: Arc<Metrics>,
    pub events: Events,
    pub successors: Successors,
    pub pull_settings: PullSettings,
    pub cel_worker: CelWorker,
    pub graces: Graces,
    /// Bounds concurrent rollouts.
    pub slots: Arc<Semaphore>,
    /// One add-on at a time opens a large release.
    pub large_turn: Arc<Semaphore>,
    pub crash_suspects: CrashSuspects,
    pub watch_settings: WatchSettings,
    /// What drivers saw that ended because the agent lease was lost.
    pub sightings: KnownSightings,
}

/// The driver of one add-on.
pub struct Driver {
    shared: Arc<Shared>,
    name: String,
    release_store: ReleaseStore,
    evidence_store: EvidenceStore,
    ledger: Ledger,
    changes: watch::Receiver<Arc<ManagedAddOn>>,
    peers: watch::Receiver<PeerStates>,
    /// What was last observed of the peers that concern this add-on.
    dependencies: Dependencies,
    slot: Option<OwnedSemaphorePermit>,
    /// Held while it is this add-on's turn: add-ons that may have crashed the agent act one at a time.
    suspect_turn: Option<DropGuard>,
    outcome: Option<Outcome>,
    /// When the API server last answered; absent while it does not.
    last_answer: Option<Instant>,
    /// The assignment of a generation.
    assignment: Option<(i64, Result<Arc<Assignment>, Fault>)>,
    pulled: Option<PulledFiles>,
    releases: ReleaseCache,
    /// Held while a large release of this add-on is open.
    large_turn: Option<OwnedSemaphorePermit>,
    /// The compiled health rules of the release that was judged last.
    rules: Option<(ReleaseId, Arc<Rules>)>,
    at_rest: AtRestState,
    /// The guarded objects in the newest event about them.
    reported_kept: Vec<String>,
    /// Why a stuck pod could not be deleted.
    stuck_pod_error: Option<String>,
}

impl Drop for Driver {
    /// A driver that continues after a short loss of the lease need not write every object again.
    fn drop(&mut self) {
        if let Some(sightings) = self.at_rest.take_sightings() {
            self.shared.sightings.keep(&self.name, sightings);
        }
    }
}

/// Drives an add-on until its `ManagedAddOn` is gone or the agent stops. A stop loses nothing, because the ledger is saved
/// before every action.
pub async fn drive(
    shared: Arc<Shared>,
    name: String,
    changes: watch::Receiver<Arc<ManagedAddOn>>,
    peers: watch::Receiver<PeerStates>,
    shutdown: CancellationToken,
) {
    let driven = async {
        let Some(mut driver) = Driver::start(&shared, &name, changes, peers).await else {
            return;
        };
        driver.record_restart().await;
        while driver.turn().await {}
    };
    tokio::select! {
        () = driven => {}
        () = shutdown.cancelled() => {}
    }
}

impl Driver {
    /// Waits for the ledger. Returns `None` if the `ManagedAddOn` is gone.
    async fn start(
        shared: &Arc<Shared>,
        name: &str,
        mut changes: watch::Receiver<Arc<ManagedAddOn>>,
        peers: watch::Receiver<PeerStates>,
    ) -> Option<Self> {
        let client = shared.cluster.agent_client();
        let release_store = ReleaseStore::new(client.clone(), &shared.namespace, name);
        let ledger = open_ledger(shared, name, &release_store, &mut changes).await?;
        Some(Self {
            shared: shared.clone(),
            name: name.to_owned(),
            at_rest: AtRestState::resume(
                &ledger.rollout,
                ledger.add_on.status.as_ref(),
                shared.sightings.take(name),
                shared.watch_settings,
            ),
            release_store,
            evidence_store: EvidenceStore::new(client, &shared.namespace, name),
            ledger,
            changes,
            peers,
            dependencies: Dependencies::default(),
            slot: None,
            suspect_turn: None,
            outcome: None,
            last_answer: None,
            assignment: None,
            pulled: None,
            releases: ReleaseCache::default(),
            large_turn: None,
            rules: None,
            reported_kept: Vec::new(),
            stuck_pod_error: None,
        })
    }

    /// Makes one transition. Returns `false` when there is nothing left to drive.
    async fn turn(&mut self) -> bool {
        match self.try_turn().await {
            Ok(goes_on) => goes_on,
            Err(error) => {
                self.bridge_outage(&error).await;
                true
            }
        }
    }

    async fn try_turn(&mut self) -> Result<bool, kube::Error> {
        let newest = self.changes.borrow_and_update().clone();
        self.update_ledger(&newest).await?;
        let observation = self.observe().await?;
        self.at_rest.follow(&self.ledger.rollout, self.shared.watch_settings);
        let before = self.ledger.rollout.clone();
        let step = step(before.clone(), &observation, now());
        let context = self.status_context();
        match self.ledger.save(step.rollout, &context).await? {
            SaveOutcome::Saved => {}
            SaveOutcome::Conflict { rollout_changed } => {
                self.drop_outcome_if(rollout_changed);
                return Ok(true);
            }
            SaveOutcome::Gone => return Ok(!is_deleted(&mut self.changes).await),
        }
        // An outcome counts until what follows from it is saved.
        self.outcome = None;
        self.clear_suspicion();
        self.report(&before, &context).await;
        self.release_slot(step.action.as_ref());
        match step.action {
            Some(action) => {
                let goes_on = self.act(action).await;
                self.close_releases();
                Ok(goes_on)
            }
            None => {
                self.delete_stuck_pods(observation.verdict.as_ref()).await;
                Ok(self.wait(step.wake).await)
            }
        }
    }

    async fn update_ledger(&mut self, newest: &ManagedAddOn) -> Result<(), kube::Error> {
        let rollout_changed = match self.ledger.update_from_watch(newest) {
            WatchNews::Unchanged => false,
            WatchNews::RolloutChanged => true,
            WatchNews::OlderVersion => self.ledger.reload(newest).await?,
        };
        self.drop_outcome_if(rollout_changed);
        Ok(())
    }

    /// An outcome belongs to the rollout for which the action was done.
    fn drop_outcome_if(&mut self, rollout_changed: bool) {
        if rollout_changed {
            self.outcome = None;
        }
    }

    /// Waits before the next attempt. No time counts until the API server answers again.
    async fn bridge_outage(&mut self, error: &kube::Error) {
        tracing::warn!(%error, "could not use the API server; retrying");
        self.last_answer = None;
        self.at_rest.forget_last_look();
        sleep(RECONNECT_INTERVAL).await;
    }
}

/// Reads the ledger, as often as necessary. One that this agent cannot read is left alone until the `ManagedAddOn` changes.
async fn open_ledger(
    shared: &Shared,
    name: &str,
    release_store: &ReleaseStore,
    changes: &mut watch::Receiver<Arc<ManagedAddOn>>,
) -> Option<Ledger> {
    loop {
        let client = shared.cluster.agent_client();
        match Ledger::open(client, name, release_store, &shared.successors).await {
            Ok(Some(ledger)) => return Some(ledger),
            Ok(None) if is_deleted(changes).await => return None,
            Ok(None) => {}
            Err(fault) if fault.reason == Reason::UnknownLedger => {
                tracing::error!(cause = fault.message, "leaving this add-on alone");
                let add_on = changes.borrow_and_update().clone();
                shared.events.record_unreadable_ledger(&add_on, &fault).await;
                changes.changed().await.ok()?;
            }
            Err(fault) => {
                tracing::warn!(cause = fault.message, "could not read the ledger; retrying");
                sleep(RECONNECT_INTERVAL).await;
            }
        }
    }
}

/// Waits a moment for the watch to drop `changes`, which it does for a deleted object. A 404 proves nothing: the API server
/// also answers so while it does not serve the kind.
async fn is_deleted(changes: &mut watch::Receiver<Arc<ManagedAddOn>>) -> bool {
    matches!(timeout(RECONNECT_INTERVAL, changes.changed()).await, Ok(Err(_)))
}
