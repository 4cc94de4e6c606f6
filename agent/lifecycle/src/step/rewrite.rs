//! Writing again while health is watched: objects that were refused, and objects that somebody deleted meanwhile.

use super::view::View;
use crate::health::Verdict;
use crate::ledger::rollout::Rollout;
use crate::ledger::state::{Rollback, State};
use crate::observation::{Action, Outcome};
use crate::plan::waves::Wave;

/// Returns the wave to write again: the first one that holds a missing or refused object. A round goes through the waves
/// in order, and ends with the last of them.
pub(super) fn next_wave(rollout: &Rollout, view: View) -> Option<Wave> {
    let refused = rollout.refused_objects().iter().map(|refused| refused.object.wave());
    let refused = refused.filter(|_| retries_refused(rollout, view));
    let missing = match view.verdict() {
        Some(Verdict::Missing { wave, .. }) => Some(*wave),
        Some(_) | None => None,
    };
    let written = written_wave(view);
    refused.chain(missing).filter(|wave| written.is_none_or(|written| *wave > written)).min()
}

/// Records how a wave was written again. Returns whether an object was restored by it.
pub(super) fn record(rollout: Rollout, view: View) -> (Rollout, bool) {
    let Some(Outcome::Applied { wave, kept, refused }) = view.outcome() else {
        return (rollout, false);
    };
    let before = rollout.refused_objects().len();
    let rollout = rollout.record_restored_wave(*wave, kept, refused);
    let has_restored = rollout.refused_objects().len() < before;
    (rollout, has_restored)
}

/// Lets a backoff pass after the last wave of a round, and after a round that failed.
pub(super) fn delay_next_round(mut rollout: Rollout, view: View) -> Rollout {
    let is_over = match view.outcome() {
        Some(Outcome::Applied { .. }) => next_wave(&rollout, view).is_none(),
        Some(Outcome::Failed(_)) => true,
        Some(_) | None => false,
    };
    match is_over {
        true if rollout.state.is_given_up() => rollout.pause(view.seen.jitter),
        true => {
            rollout.retry_state = rollout.retry_state.after_failure(view.seen.jitter);
            rollout
        }
        false => rollout,
    }
}

/// Returns whether an action goes on with a round of which a wave was just written.
pub(super) fn continues_round(rollout: &Rollout, view: View, action: &Action) -> bool {
    let Action::Apply { wave, .. } = action else { return false };
    let is_watched = rollout.release_under_verification().is_some();
    is_watched && written_wave(view).is_some_and(|written| *wave > written)
}

fn written_wave(view: View) -> Option<Wave> {
    match view.outcome() {
        Some(Outcome::Applied { wave, .. }) => Some(*wave),
        Some(_) | None => None,
    }
}

/// A rollback goes on with what was refused while that may help: the cause may pass, or workloads are not healthy yet.
fn retries_refused(rollout: &Rollout, view: View) -> bool {
    let State::RollingBack(Rollback { given_up, .. }) = &rollout.state else { return false };
    let is_transient = rollout.refused_objects().iter().any(|refused| refused.cause.transient);
    let is_healthy = view.verdict().is_some_and(Verdict::is_healthy);
    given_up.is_some() || is_transient || !is_healthy
}
