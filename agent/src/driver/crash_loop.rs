//! After the agent ended, whoever was at work may be why. Each of them goes alone until something comes of it, and only
//! then is another counted: so the count in a ledger is of its own deaths, not of its neighbours'.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Driver, UNREACHABLE};
use crate::storage::ledger::SaveOutcome;

/// What ends an agent does so soon; others are not kept waiting for longer.
const ALONE: Duration = Duration::from_secs(10);

/// What an agent that has just started suspects.
pub struct Suspicion {
    /// Add-ons that were driven by this process before: it lived through that.
    known: Mutex<BTreeSet<String>>,
    alone: Arc<Semaphore>,
}

impl Default for Suspicion {
    fn default() -> Self {
        Self { known: Mutex::default(), alone: Arc::new(Semaphore::new(1)) }
    }
}

impl Suspicion {
    /// Whether this process drives the add-on for the first time.
    fn is_new(&self, name: &str) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned())
    }
}

impl Driver {
    /// Counts, before anything else is done, that this agent goes on where an earlier one ended.
    pub(super) async fn go_on(&mut self) {
        if !self.shared.suspicion.is_new(&self.name) || !self.ledger.rollout.is_under_way() {
            return;
        }
        let Ok(turn) = self.shared.suspicion.alone.clone().acquire_owned().await else { return };
        self.alone = Some(lasting(turn));
        loop {
            let newest = self.changes.borrow_and_update().clone();
            _ = self.hear(&newest).await;
            if !self.ledger.rollout.is_under_way() {
                return;
            }
            let counted = self.ledger.rollout.clone().count_crash();
            match self.ledger.save(counted, &self.beside()).await {
                Ok(SaveOutcome::Saved | SaveOutcome::Gone) => return,
                Ok(SaveOutcome::Conflict { .. }) => {}
                Err(error) => {
                    tracing::warn!(%error, "the ledger could not be saved yet");
                    sleep(UNREACHABLE).await;
                }
            }
        }
    }

    /// Something came of it, so that others may go on beside it.
    pub(super) fn clear_of_suspicion(&mut self) {
        if self.ledger.rollout.retry_state.crashes == 0 {
            self.alone = None;
        }
    }
}

/// Others have to wait until the guard is dropped, or for [`ALONE`].
fn lasting(turn: OwnedSemaphorePermit) -> DropGuard {
    let over = CancellationToken::new();
    let guard = over.clone().drop_guard();
    tokio::spawn(async move {
        tokio::select! {
            () = over.cancelled() => {}
            () = sleep(ALONE) => {}
        }
        drop(turn);
    });
    guard
}
