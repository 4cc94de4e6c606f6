//! The `ManagedAddOn` is being deleted.

use jiff::Timestamp;

use super::outcome;
use crate::api::{Deletion, OperationKind, OperationResult};
use crate::observation::{Action, Observation, Outcome};
use crate::reason::{Fault, Reason};
use crate::rollout::{Rollout, State};

pub(super) fn advance(rollout: Rollout, seen: &Observation, now: Timestamp) -> Rollout {
    let State::Removing { done } = rollout.state else { return begin(rollout, seen, now) };
    match outcome(seen) {
        Some(Outcome::Removed { left }) if left.is_empty() => {
            let gone = Fault::new(Reason::Removing, "everything is removed");
            rollout.finish(OperationResult::Succeeded, gone, now).to(State::Removing { done: true })
        }
        Some(Outcome::Removed { left }) => {
            let waiting = format!("waiting for {} to go: {}", left.len(), left.join(", "));
            rollout.retry(&Fault::passing(Reason::Removing, waiting), seen.jitter)
        }
        // Whatever the fault, it is told and tried again: only the environment can mend it.
        Some(Outcome::Failed(fault)) => rollout.retry(fault, seen.jitter),
        _ => Rollout { state: State::Removing { done }, ..rollout },
    }
}

fn begin(rollout: Rollout, seen: &Observation, now: Timestamp) -> Rollout {
    let orphan = seen.deletion == Deletion::Orphan;
    let mut rollout = rollout;
    if rollout.operation.as_ref().is_some_and(|operation| operation.completed.is_none()) {
        let why = Fault::new(Reason::Superseded, "the ManagedAddOn was deleted");
        rollout = rollout.finish(OperationResult::Failed, why, now);
    }
    rollout
        .open(OperationKind::Uninstall, None, Reason::Removing, seen.asked(), now)
        .to(State::Removing { done: orphan })
}

pub(super) fn due(rollout: &Rollout, seen: &Observation, done: bool) -> Action {
    if done {
        return Action::Release;
    }
    let mut of: Vec<_> = rollout.current.iter().chain(&rollout.touched).cloned().collect();
    for retained in &seen.retained {
        if !of.contains(&retained.release) {
            of.push(retained.release.clone());
        }
    }
    Action::Remove { of }
}
