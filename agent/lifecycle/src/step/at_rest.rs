//! At rest: what wakes an add-on up again.

use jiff::Timestamp;

use super::begin;
use crate::bundle::release::ReleaseId;
use crate::ledger::retained::{Retained, RetainedState};
use crate::ledger::rollout::Rollout;
use crate::ledger::state::{RetryFrom, State};
use crate::observation::{Action, Observation, Outcome};
use crate::reason::Reason;

/// Available: only another release, or an assignment that cannot be read, is news.
pub(super) fn available(rollout: Rollout, seen: &Observation, now: Timestamp) -> Rollout {
    match seen.wanted() {
        Some(wanted) if Some(wanted) == rollout.current.as_ref() => {
            keep_retained(rollout, seen, now)
        }
        _ => begin::advance(rollout.to(State::Pending), seen, now),
    }
}

/// Without its Secret there is no way back to what runs: it is pulled, retained and verified again.
fn keep_retained(rollout: Rollout, seen: &Observation, now: Timestamp) -> Rollout {
    match rollout.current.clone() {
        Some(current) if !seen.is_retained(&current.id) => {
            let rollout = Rollout { touched: vec![current], ..rollout };
            begin::advance(rollout.to(State::Pending), seen, now)
        }
        _ => rollout,
    }
}

/// RolledBack or Failed: a failed release is not tried again until it is asked for anew.
pub(super) fn ended(rollout: Rollout, seen: &Observation, now: Timestamp) -> Rollout {
    let asked = rollout.operation.as_ref().map(|operation| &operation.asked);
    if asked.is_some_and(|asked| asked.same_release(&seen.asked())) {
        return rollout;
    }
    begin::advance(rollout.to(State::Pending), seen, now)
}

/// Rejected: looked at again when the assignment changes, and by itself when the environment may have.
pub(super) fn rejected(
    rollout: Rollout,
    seen: &Observation,
    now: Timestamp,
    reason: Reason,
    again: Option<RetryFrom>,
) -> Rollout {
    let same = rollout.operation.as_ref().is_some_and(|operation| operation.asked == seen.asked());
    if !same {
        return begin::advance(rollout.to(State::Pending), seen, now);
    }
    let rested = rollout.retry_state.backoff.is_zero();
    // Other add-ons tell at once that they are no hindrance any more.
    let mended = reason.is_of_others() && begin::conflict(&rollout, seen).is_none();
    match (again, &seen.outcome) {
        (Some(RetryFrom::Begin), _) if rested || mended => match begin::refusal(&rollout, seen) {
            Ok(_) => begin::advance(rollout.to(State::Pending), seen, now),
            Err(fault) => refuse_again(rollout, fault, RetryFrom::Begin, seen, now),
        },
        (Some(RetryFrom::Pull), Some(Outcome::Pulled))
        | (Some(RetryFrom::Stage), Some(Outcome::Staged))
        | (Some(RetryFrom::Check), Some(Outcome::Checked(_)))
        | (Some(_), Some(Outcome::Missing)) => {
            begin::advance(rollout.to(State::Pending), seen, now)
        }
        (Some(again), Some(Outcome::Failed(fault))) => {
            let fault = if fault.transient {
                crate::Fault::new(reason, fault.message.clone())
            } else {
                fault.clone()
            };
            refuse_again(rollout, fault, again, seen, now)
        }
        _ => rollout,
    }
}

/// The same refusal keeps its times: nothing is reported that did not change.
fn refuse_again(
    rollout: Rollout,
    fault: crate::Fault,
    again: RetryFrom,
    seen: &Observation,
    now: Timestamp,
) -> Rollout {
    let ended = rollout.operation.as_ref().and_then(|operation| operation.completed);
    let same = rollout.operation.as_ref().is_some_and(|operation| operation.reason == fault.reason);
    rollout.reject(fault, again, seen, ended.filter(|_| same).unwrap_or(now))
}

/// Keeps the retained releases tidy: the current and the previous one, and a failed one that was left in place.
pub(super) fn due(rollout: &Rollout, seen: &Observation) -> Option<Action> {
    // Whoever took it off would lose what is installed with the ManagedAddOn.
    if !seen.finalizer && (rollout.current.is_some() || !rollout.touched.is_empty()) {
        return Some(Action::AddFinalizer);
    }
    let keep = kept(rollout);
    let is = |retained: &Retained| keep.contains(&(retained.release.id.clone(), retained.state));
    let tidy = seen.retained.iter().all(is);
    (!tidy).then_some(Action::Retain { keep })
}

fn kept(rollout: &Rollout) -> Vec<(ReleaseId, RetainedState)> {
    let mut keep: Vec<(ReleaseId, RetainedState)> = Vec::new();
    let mut add = |id: &ReleaseId, state| {
        if !keep.iter().any(|(kept, _)| kept == id) {
            keep.push((id.clone(), state));
        }
    };
    rollout.current.iter().for_each(|current| add(&current.id, RetainedState::Current));
    rollout.previous.iter().for_each(|previous| add(&previous.id, RetainedState::Previous));
    rollout.touched.iter().for_each(|touched| add(&touched.id, RetainedState::Candidate));
    keep
}
