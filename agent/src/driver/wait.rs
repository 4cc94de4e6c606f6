//! Waits until there is a reason for the next transition, and takes and releases rollout slots.

use std::time::Duration;

use lifecycle::{Action, Dependencies, PeerStates, Phase, Reason, State};
use tokio::time::{sleep, sleep_until};

use super::Driver;

impl Driver {
    /// Waits until the `ManagedAddOn` or a peer that concerns it changes, the time is up, or a queued rollout gets a slot.
    /// Looks after the release at rest when that is due. Returns `false` when the `ManagedAddOn` is gone.
    pub(super) async fn wait(&mut self, wake: Option<Duration>) -> bool {
        self.close_releases();
        let is_queued = self.ledger.rollout.state == State::Waiting { reason: Reason::Queued };
        let slots = self.shared.slots.clone();
        let slot = when(is_queued, async move { slots.acquire_owned().await.ok() });
        let is_at_rest = self.ledger.rollout.release_at_rest().is_some();
        let look = when(is_at_rest, sleep_until(self.at_rest.next_look()));
        let time = when(wake.is_some(), sleep(wake.unwrap_or_default()));
        let (name, dependencies) = (&self.name, &self.dependencies);
        let requirements = self.requirements();
        let peers = &mut self.peers;
        let differs =
            |peers: &PeerStates| Dependencies::new(name, &requirements, peers) != *dependencies;
        let concerned = async move { peers.wait_for(differs).await.is_ok() };
        tokio::select! {
            changed = self.changes.changed() => changed.is_ok(),
            true = concerned => true,
            () = time => true,
            () = look => {
                self.look_after_release().await;
                self.close_releases();
                true
            }
            slot = slot => {
                self.slot = slot;
                true
            }
        }
    }

    /// Returns whether this add-on may be rolled out now.
    pub(super) fn take_slot(&mut self) -> bool {
        if self.slot.is_none() {
            self.slot = self.shared.slots.clone().try_acquire_owned().ok();
        }
        self.slot.is_some()
    }

    /// Releases the slot when no rollout is under way and no action of one is due, as after a rejection. Neither a removal
    /// nor a rollback needs one.
    pub(super) fn release_slot(&mut self, action: Option<&Action>) {
        let rollout = &self.ledger.rollout;
        let is_retrying = rollout.phase() == Phase::Rejected && action.is_some();
        let needs_none = matches!(
            rollout.state,
            State::Waiting { .. } | State::RollingBack(_) | State::Removing { .. }
        );
        if needs_none || rollout.phase().is_settled() && !is_retrying {
            self.slot = None;
            self.pulled = None;
        }
    }
}

/// The future, or one that never ends.
async fn when<F: Future>(is_wanted: bool, future: F) -> F::Output {
    if is_wanted { future.await } else { std::future::pending().await }
}
