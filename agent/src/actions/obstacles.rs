//! Webhooks and policies of the add-on itself that refuse its writes. They are opened, removed or brought to their new form
//! before their wave, so that a version can be repaired and gone back from.

mod find;
mod remedy;

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::{Fault, Obstacle};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::actions::release::ResolvedRelease;
use remedy::Remedy;

/// The API server heeds a change of its admission within a second or two.
const TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Obstacles that were brought to the form of the release, and when. The lock keeps several writes that are refused at once
/// from clearing one obstacle twice.
pub type Restored = Mutex<BTreeMap<Obstacle, Instant>>;

/// Writes, and again each time that an obstacle of the add-on's own is cleared, for [`TIMEOUT`].
///
/// # Errors
/// The last refusal of the write.
pub async fn write_past<T, F>(release: &ResolvedRelease, write: impl Fn() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let fault = match write().await {
            Err(fault) => fault,
            written => return written,
        };
        if Instant::now() > deadline || !clear(release, &fault).await {
            return Err(fault);
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Returns whether the refusal of a dry run says nothing about the write, because the write will clear the obstacle.
pub async fn is_clearable(release: &ResolvedRelease, fault: &Fault) -> bool {
    let Some(obstacle) = Obstacle::of(&fault.message) else { return false };
    matches!(remedy::find(release, &obstacle).await, Ok(Some(_)))
}

/// Returns whether the write may be tried again.
async fn clear(release: &ResolvedRelease, fault: &Fault) -> bool {
    let Some(obstacle) = Obstacle::of(&fault.message) else { return false };
    let mut restored = release.restored_obstacles.lock().await;
    if restored.get(&obstacle).is_some_and(|at| at.elapsed() < TIMEOUT) {
        return true;
    }
    let cleared = match remedy::find(release, &obstacle).await {
        Ok(None) => return false,
        Ok(Some(remedy)) => {
            if matches!(remedy, Remedy::Restore(_)) {
                restored.insert(obstacle.clone(), Instant::now());
            }
            remedy.apply(release, &obstacle).await
        }
        Err(fault) => Err(fault),
    };
    cleared.unwrap_or_else(|fault| {
        tracing::warn!(%obstacle, cause = fault.message, "could not clear an obstacle");
        false
    })
}
