//! After a crash, any rollout in progress is suspect.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A rollout that crashes the agent does so soon. Other suspects do not wait longer than this.
const MAX_TURN: Duration = Duration::from_secs(10);

/// The rollouts that may have crashed the agent. They resume one after the other, so that the crashes in a ledger are its
/// own and not those of its neighbours.
pub struct CrashSuspects {
    /// Add-ons that this process drove before, without a crash.
    driven: Mutex<BTreeSet<String>>,
    turn: Arc<Semaphore>,
}

impl Default for CrashSuspects {
    fn default() -> Self {
        Self { driven: Mutex::default(), turn: Arc::new(Semaphore::new(1)) }
    }
}

impl CrashSuspects {
    /// Records that this process drives the add-on. Returns whether it does so for the first time, in which case a rollout in
    /// progress is suspect.
    pub fn record_driven(&self, add_on: &str) -> bool {
        self.driven.lock().unwrap_or_else(PoisonError::into_inner).insert(add_on.to_owned())
    }

    /// Waits until no other suspect resumes. The turn ends when the guard is dropped, or after [`MAX_TURN`].
    pub async fn take_turn(&self) -> Option<DropGuard> {
        let permit = self.turn.clone().acquire_owned().await.ok()?;
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        tokio::spawn(hold(permit, ended));
        Some(guard)
    }
}

async fn hold(permit: OwnedSemaphorePermit, ended: CancellationToken) {
    tokio::select! {
        () = ended.cancelled() => {}
        () = sleep(MAX_TURN) => {}
    }
    drop(permit);
}
