//! The assign task: brings the assignments of the hub into `ManagedAddOn`s. It decides nothing itself.

use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use kube::{Api, Client};
use lifecycle::ManagedAddOn;
use lifecycle::spec::duration::whole_seconds;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::assignments::lookup::look_up_all;
use crate::assignments::outcome::Outcomes;
use crate::assignments::ownership::{self, OwnershipAction};
use crate::assignments::trackers::Trackers;
use crate::assignments::write::{self, WriteError};
use crate::backoff::{IDLE, LOCAL_RETRY};
use crate::channels::{AddOns, changed};
use crate::hub_state::HubState;
use crate::kube_error::{chain, is_conflict, is_not_found};

/// The task with its two clusters.
pub struct AssignTask {
    hub: Client,
    managed: Api<ManagedAddOn>,
}

impl AssignTask {
    /// Returns a task that reads from the hub and writes to the managed cluster.
    pub fn new(hub: Client, managed: Client) -> Self {
        Self { hub, managed: Api::all(managed) }
    }

    /// Runs for good.
    pub async fn run(
        self,
        mut hub_receiver: watch::Receiver<HubState>,
        mut add_on_receiver: watch::Receiver<AddOns>,
        outcomes: watch::Sender<Outcomes>,
    ) {
        let mut trackers = Trackers::default();
        loop {
            let started = Instant::now();
            let hub_state = hub_receiver.borrow_and_update().clone();
            let add_ons = add_on_receiver.borrow_and_update().clone();
            let all_done = self.change_ownership(&hub_state, &add_ons).await;
            trackers.observe(&hub_state);
            self.look_up(&mut trackers, &hub_state).await;
            self.write(&mut trackers, &hub_state, &add_ons).await;
            publish(trackers.outcomes(), &outcomes);
            tokio::select! {
                () = changed(&mut hub_receiver) => {}
                () = changed(&mut add_on_receiver) => {}
                () = tokio::time::sleep_until(next_turn(&trackers, started, all_done)) => {}
            }
        }
    }

    /// Returns whether every action that was due is done.
    async fn change_ownership(&self, hub_state: &HubState, add_ons: &AddOns) -> bool {
        let mut all_done = true;
        for action in ownership::due_actions(hub_state, add_ons) {
            all_done &= self.carry_out(action).await;
        }
        all_done
    }

    /// Returns whether it is done.
    async fn carry_out(&self, action: OwnershipAction) -> bool {
        match write::change_ownership(&self.managed, &action).await {
            Ok(()) => {
                info!(?action, "ManagedAddOn changed as its ManagedClusterAddOn demands");
                true
            }
            // Another writer was faster: the watch will show it.
            Err(error) if is_not_found(&error) || is_conflict(&error) => false,
            Err(error) => {
                warn!(?action, error = chain(&error), "cannot change the ManagedAddOn, will retry");
                false
            }
        }
    }

    async fn look_up(&self, trackers: &mut Trackers, hub_state: &HubState) {
        let now = Instant::now();
        let due = trackers.due_lookups(hub_state, now);
        let mut lookups = std::pin::pin!(look_up_all(&self.hub, due));
        while let Some((mca, lookup)) = lookups.next().await {
            let Some(tracker) = trackers.get_mut(mca.name()) else { continue };
            match lookup {
                Ok(lookup) => {
                    let time = whole_seconds(Timestamp::now());
                    tracker.record_lookup(lookup, now, time, fastrand::f64());
                }
                Err(error) => {
                    let (add_on, error) = (mca.name(), chain(&error));
                    warn!(add_on, error, "cannot read the assignment on the hub, will retry");
                    tracker.back_off(Instant::now(), fastrand::f64());
                }
            }
        }
    }

    async fn write(&self, trackers: &mut Trackers, hub_state: &HubState, add_ons: &AddOns) {
        for (name, tracker) in trackers.iter_mut() {
            let existing = add_ons.get(name).map(Arc::as_ref);
            let (now, time) = (Instant::now(), whole_seconds(Timestamp::now()));
            let due = tracker.due_write(existing, &hub_state.deleted_uids, now, time);
            let Some(desired) = due else { continue };
            match write::apply(&self.managed, &desired).await {
                Ok(written) => tracker.record_write(written),
                Err(WriteError::Refused(fault)) => {
                    tracker.record_refusal(fault, desired.version, time);
                }
                Err(WriteError::Transient(error)) => {
                    warn!(add_on = name, error, "cannot write the ManagedAddOn, will retry");
                    tracker.back_off(Instant::now(), fastrand::f64());
                }
            }
        }
    }
}

fn publish(current: Outcomes, outcomes: &watch::Sender<Outcomes>) {
    outcomes.send_if_modified(|published| {
        let is_new = *published != current;
        *published = current;
        is_new
    });
}

/// Returns the time of the next turn if nothing changes before.
fn next_turn(trackers: &Trackers, started: Instant, all_done: bool) -> Instant {
    let latest = started + if all_done { IDLE } else { LOCAL_RETRY };
    trackers.next_attempt(started).map_or(latest, |attempt| attempt.min(latest))
}
