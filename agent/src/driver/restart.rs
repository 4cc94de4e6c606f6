//! Counts in the ledger that a restarted agent resumes a rollout, before anything else is done.

use tokio::time::sleep;

use super::{Driver, RECONNECT_INTERVAL};
use crate::storage::ledger::SaveOutcome;

impl Driver {
    /// Counts a possible crash if an agent before this one was in a rollout. Waits for its turn among the suspects.
    pub(super) async fn record_restart(&mut self) {
        let suspects = &self.shared.crash_suspects;
        if !suspects.record_driven(&self.name) || !self.ledger.rollout.is_under_way() {
            return;
        }
        let Some(turn) = suspects.take_turn().await else { return };
        self.suspect_turn = Some(turn);
        loop {
            let newest = self.changes.borrow_and_update().clone();
            _ = self.update_ledger(&newest).await;
            if !self.ledger.rollout.is_under_way() {
                return;
            }
            let counted = self.ledger.rollout.clone().count_crash();
            match self.ledger.save(counted, &self.status_context()).await {
                Ok(SaveOutcome::Saved | SaveOutcome::Gone) => return,
                Ok(SaveOutcome::Conflict { .. }) => {}
                Err(error) => {
                    tracing::warn!(%error, "could not save the ledger; retrying");
                    sleep(RECONNECT_INTERVAL).await;
                }
            }
        }
    }

    /// Ends the turn once the rollout made progress.
    pub(super) fn clear_suspicion(&mut self) {
        if self.ledger.rollout.retry_state.crashes == 0 {
            self.suspect_turn = None;
        }
    }
}
