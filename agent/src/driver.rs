//! Drives one add-on: observe, step, save, act, look again.

mod at_rest;
mod crash_loop;
mod execute;
mod observe;
mod stuck_pods;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lifecycle::health::{Graces, Rules};
use lifecycle::{
    Action, Assignment, DeletionIntent, Dependencies, Fault, ManagedAddOn, Outcome, PeerStates,
    Reason, ReleaseId, State, StatusContext, step,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::actions::evidence;
use crate::actions::health::CelWorker;
use crate::actions::pull::{PullSettings, PulledFiles};
use crate::cluster::Cluster;
use crate::observability::events::Events;
use crate::observability::metrics::Metrics;
use crate::storage::ledger::{Ledger, SaveOutcome, WatchNews, now};
use crate::storage::releases::{Content, ReleaseStore};
use crate::storage::successor::Successors;

use at_rest::Rest;
pub use at_rest::Watching;
pub use crash_loop::Suspicion;

/// Between looks at an API server that does not answer.
const UNREACHABLE: Duration = Duration::from_secs(1);

/// What all drivers share.
pub struct Shared {
    pub cluster: Cluster,
    pub namespace: String,
    pub metrics: Arc<Metrics>,
    pub events: Events,
    pub successors: Successors,
    pub pull_settings: PullSettings,
    pub judge: CelWorker,
    pub graces: Graces,
    /// Rollouts at once.
    pub slots: Arc<Semaphore>,
    pub suspicion: Suspicion,
    pub watching: Watching,
}

pub struct Driver {
    shared: Arc<Shared>,
    name: String,
    store: ReleaseStore,
    evidence: evidence::Store,
    ledger: Ledger,
    changes: watch::Receiver<Arc<ManagedAddOn>>,
    neighbours: watch::Receiver<PeerStates>,
    /// Of them, what was last seen to concern this add-on.
    dependencies: Dependencies,
    slot: Option<OwnedSemaphorePermit>,
    /// Others that may be why the last agent ended wait for this.
    alone: Option<DropGuard>,
    outcome: Option<Outcome>,
    /// When the API server was last seen to answer; absent while it does not.
    clock: Option<Instant>,
    /// Read once a generation.
    assignment: Option<(i64, Result<Arc<Assignment>, Fault>)>,
    pulled: Option<PulledFiles>,
    contents: BTreeMap<ReleaseId, Arc<Content>>,
    /// Compiled, of the release whose health was last looked at.
    rules: Option<(ReleaseId, Arc<Rules>)>,
    rest: Rest,
    /// What the newest removal did not touch, as it was told.
    kept_back: Vec<String>,
    /// Why what is awaited may not come.
    hindered: Option<String>,
}

/// Until the `ManagedAddOn` is gone or the agent stops. Stopping loses nothing: the ledger is ahead of every action.
pub async fn drive(
    shared: Arc<Shared>,
    name: String,
    changes: watch::Receiver<Arc<ManagedAddOn>>,
    neighbours: watch::Receiver<PeerStates>,
    shutdown: CancellationToken,
) {
    let driven = async {
        let Some(mut driver) = Driver::open(&shared, &name, changes, neighbours).await else {
            return;
        };
        driver.go_on().await;
        while driver.turn().await {}
    };
    tokio::select! {
        () = driven => {}
        () = shutdown.cancelled() => {}
    }
}

impl Driver {
    /// Waits for the API server; a ledger of an unknown form is left alone.
    async fn open(
        shared: &Arc<Shared>,
        name: &str,
        mut changes: watch::Receiver<Arc<ManagedAddOn>>,
        neighbours: watch::Receiver<PeerStates>,
    ) -> Option<Self> {
        let client = shared.cluster.own();
        let store = ReleaseStore::new(client.clone(), &shared.namespace, name);
        let ledger = loop {
            match Ledger::open(client.clone(), name, &store, &shared.successors).await {
                Ok(Some(ledger)) => break ledger,
                Ok(None) if is_gone(&mut changes).await => return None,
                Ok(None) => {}
                Err(fault) if fault.reason == Reason::UnknownLedger => {
                    tracing::error!(cause = fault.message, "leaving this add-on alone");
                    let object = changes.borrow_and_update().clone();
                    shared.events.record_unreadable_ledger(&object, &fault).await;
                    changes.changed().await.ok()?;
                }
                Err(fault) => {
                    tracing::warn!(cause = fault.message, "the ledger could not be read yet");
                    sleep(UNREACHABLE).await;
                }
            }
        };
        let rest =
            Rest::resume(&ledger.rollout, ledger.add_on.status.as_ref(), shared.watching.every);
        Some(Self {
            shared: shared.clone(),
            name: name.to_owned(),
            store,
            evidence: evidence::Store::new(client, &shared.namespace, name),
            ledger,
            changes,
            neighbours,
            dependencies: Dependencies::default(),
            slot: None,
            alone: None,
            outcome: None,
            clock: None,
            assignment: None,
            pulled: None,
            contents: BTreeMap::new(),
            rules: None,
            kept_back: Vec::new(),
            hindered: None,
            rest,
        })
    }

    /// One round; `false` when there is nothing left to drive.
    async fn turn(&mut self) -> bool {
        let newest = self.changes.borrow_and_update().clone();
        if let Err(error) = self.hear(&newest).await {
            return self.lost(&error).await;
        }
        let seen = match self.observe().await {
            Ok(seen) => seen,
            Err(error) => return self.lost(&error).await,
        };
        self.rest.follow(&self.ledger.rollout, self.shared.watching.every);
        let before = self.ledger.rollout.clone();
        let step = step(before.clone(), &seen, now());
        let beside = self.beside();
        match self.ledger.save(step.rollout, &beside).await {
            Ok(SaveOutcome::Saved) => {}
            Ok(SaveOutcome::Conflict { rollout_changed }) => {
                self.outcome = self.outcome.take().filter(|_| !rollout_changed);
                return true;
            }
            Ok(SaveOutcome::Gone) => return !is_gone(&mut self.changes).await,
            Err(error) => return self.lost(&error).await,
        }
        // Only what is saved has been answered.
        self.outcome = None;
        self.clear_of_suspicion();
        self.tell(&before, &beside).await;
        self.release_slot();
        match step.action {
            Some(action) => self.act(action).await,
            None => {
                self.clear_the_way(seen.verdict.as_ref()).await;
                self.wait(step.wake).await
            }
        }
    }

    /// What was done for another rollout than the one that is told has no outcome here.
    async fn hear(&mut self, newest: &ManagedAddOn) -> Result<(), kube::Error> {
        let rollout_changed = match self.ledger.update_from_watch(newest) {
            WatchNews::Unchanged => false,
            WatchNews::RolloutChanged => true,
            WatchNews::OlderVersion => self.ledger.reload(newest).await?,
        };
        self.outcome = self.outcome.take().filter(|_| !rollout_changed);
        Ok(())
    }

    /// The API server does not answer: no time counts until it does.
    async fn lost(&mut self, error: &kube::Error) -> bool {
        tracing::warn!(%error, "the API server cannot be used; trying again");
        self.clock = None;
        self.rest.lose_sight();
        sleep(UNREACHABLE).await;
        true
    }

    fn beside(&self) -> StatusContext {
        let metadata = &self.ledger.add_on.metadata;
        let orphaned = metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(lifecycle::names::annotation::ORPHANED).cloned());
        StatusContext {
            generation: metadata.generation,
            desired_version: Some(self.ledger.add_on.spec.version.clone()),
            orphaned,
            degradation: self.rest.unwell(),
            drift: self.rest.drift().condition().cloned(),
            is_deletion_unconfirmed: DeletionIntent::read(&self.ledger.add_on)
                == DeletionIntent::Unconfirmed,
        }
    }

    /// Logs, events and metrics of what changed.
    async fn tell(&self, before: &lifecycle::Rollout, beside: &StatusContext) {
        let after = &self.ledger.rollout;
        let desired = beside.desired_version.as_deref();
        self.shared.metrics.record_rollout(&self.name, before, after, desired);
        self.shared.metrics.set_degraded(&self.name, beside.degradation.is_some());
        if before.phase() == after.phase() {
            return;
        }
        let why = lifecycle::reason(after).name();
        let message = after.operation.as_ref().map_or("", |operation| &operation.message);
        let phase = after.phase().name();
        tracing::info!(phase, reason = why, message, "phase changed");
        self.shared.events.record_phase(&self.ledger.add_on, after, message).await;
        let missed_by = self.dependencies.dependents();
        if after.phase() == lifecycle::Phase::Removing && !missed_by.is_empty() {
            self.shared.events.record_required_by_others(&self.ledger.add_on, &missed_by).await;
        }
    }

    /// Acts; before the first write a newer assignment ends the action.
    async fn act(&mut self, action: Action) -> bool {
        tracing::debug!(?action, "acting");
        let may_be_abandoned =
            matches!(action, Action::Pull | Action::Stage | Action::Check { .. });
        let released = matches!(action, Action::RemoveFinalizer | Action::Recreate);
        let mut changes = self.changes.clone();
        let acting_on = of_interest(&self.ledger.add_on);
        let outcome = tokio::select! {
            outcome = self.execute(action) => Some(outcome),
            // A driver whose ManagedAddOn is gone ends with the action.
            () = differs(&mut changes, acting_on), if may_be_abandoned => None,
        };
        self.outcome = outcome.map(|outcome| outcome.unwrap_or_else(Outcome::Failed));
        if let Some(Outcome::Failed(fault)) = &self.outcome {
            tracing::info!(
                reason = fault.reason.name(),
                transient = fault.transient,
                cause = fault.message,
                "action failed"
            );
        }
        !(released && self.outcome == Some(Outcome::FinalizerRemoved))
    }

    /// Until something changes, the time is up, or a slot is free for a rollout that waits for one.
    async fn wait(&mut self, wake: Option<Duration>) -> bool {
        let queued = matches!(self.ledger.rollout.state, State::Waiting { reason: Reason::Queued });
        let slots = self.shared.slots.clone();
        let slot = async move {
            if queued { slots.acquire_owned().await.ok() } else { std::future::pending().await }
        };
        let time = async {
            match wake {
                Some(wake) => sleep(wake).await,
                None => std::future::pending().await,
            }
        };
        let kept = self.ledger.rollout.release_at_rest().is_some();
        let tend_at = self.rest.repair_at;
        let tend = async move {
            if kept { sleep_until(tend_at).await } else { std::future::pending().await }
        };
        let (name, needs, dependencies) = (&self.name, self.needs(), &self.dependencies);
        let neighbours = &mut self.neighbours;
        let differs = |all: &PeerStates| Dependencies::new(name, &needs, all) != *dependencies;
        let concerned = async move { neighbours.wait_for(differs).await.is_ok() };
        tokio::select! {
            changed = self.changes.changed() => changed.is_ok(),
            true = concerned => true,
            () = time => true,
            () = tend => {
                self.tend().await;
                true
            }
            slot = slot => {
                self.slot = slot;
                true
            }
        }
    }

    fn take_slot(&mut self) -> bool {
        if self.slot.is_none() {
            self.slot = self.shared.slots.clone().try_acquire_owned().ok();
        }
        self.slot.is_some()
    }

    fn release_slot(&mut self) {
        let phase = self.ledger.rollout.phase();
        if phase.is_settled()
            || phase == lifecycle::Phase::Removing
            || matches!(self.ledger.rollout.state, State::Waiting { .. })
        {
            self.slot = None;
            self.pulled = None;
        }
    }
}

/// That there is no such object an API server also says while it does not serve the kind; that it was deleted, only the
/// watch can tell, which then lets go of `changes`.
async fn is_gone(changes: &mut watch::Receiver<Arc<ManagedAddOn>>) -> bool {
    matches!(timeout(UNREACHABLE, changes.changed()).await, Ok(Err(_)))
}

/// What of a `ManagedAddOn` can make an action pointless; its status and our own marks cannot.
fn of_interest(object: &ManagedAddOn) -> (Option<i64>, bool) {
    (object.metadata.generation, DeletionIntent::read(object) == DeletionIntent::Ordered)
}

async fn differs(changes: &mut watch::Receiver<Arc<ManagedAddOn>>, acting_on: (Option<i64>, bool)) {
    let differ = changes.wait_for(|object| of_interest(object) > acting_on).await.is_ok();
    if !differ {
        std::future::pending::<()>().await;
    }
}
