//! The `ManagedAddOn` is being deleted.

use jiff::Timestamp;

use crate::api::{Deletion, OperationKind, OperationResult};
use crate::ledger::left_behind::list_leftovers;
use crate::ledger::rollout::Rollout;
use crate::ledger::state::State;
use crate::observation::{Action, Observation, Outcome};
use crate::reason::{Fault, Reason};

pub(super) fn advance(rollout: Rollout, seen: &Observation, now: Timestamp) -> Rollout {
    let rollout = Rollout { failure: None, ..rollout };
    let State::Removing { done } = rollout.state else { return begin(rollout, seen, now) };
    match seen.outcome.as_ref() {
        _ if done => rollout,
        _ if seen.deletion == Deletion::Orphan => let_go(rollout, "everything stays", now),
        Some(Outcome::Removed { leftovers }) if leftovers.is_empty() => {
            let_go(rollout, "everything is removed", now)
        }
        Some(Outcome::Removed { leftovers }) => {
            let (count, list) = (leftovers.len(), list_leftovers(leftovers));
            let waiting = format!("waiting for {count} to go: {list}");
            rollout.await_going(waiting, seen.jitter)
        }
        // Whatever the fault, it is told and tried again: only the environment can mend it.
        Some(Outcome::Failed(fault)) => rollout.retry(fault, seen.jitter),
        _ => match rollout.crash_loop() {
            Some(fault) => rollout.say(fault.message),
            None => rollout,
        },
    }
}

fn begin(rollout: Rollout, seen: &Observation, now: Timestamp) -> Rollout {
    let rollout =
        rollout.close(Fault::new(Reason::Superseded, "the ManagedAddOn was deleted"), now);
    let rollout = rollout.open(OperationKind::Uninstall, None, Reason::Removing, seen.asked(), now);
    match seen.deletion {
        Deletion::Uninstall => rollout.to(State::Removing { done: false }),
        Deletion::Orphan => let_go(rollout, "everything stays", now),
    }
}

fn let_go(rollout: Rollout, why: &str, now: Timestamp) -> Rollout {
    let done = Fault::new(Reason::Removing, why);
    rollout.finish(OperationResult::Succeeded, done, now).to(State::Removing { done: true })
}

/// A deletionTimestamp never goes away: this is another `ManagedAddOn` under the same name. Nothing runs here; of what
/// was not removed to the end there may be objects.
pub(super) fn made_anew(rollout: Rollout, done: bool) -> Rollout {
    let left = rollout.touched.iter().chain(&rollout.current).filter(|_| !done);
    let touched = left.cloned().collect();
    let operation = rollout.operation.filter(|operation| operation.completed.is_some());
    Rollout { current: None, previous: None, touched, operation, ..rollout }.to(State::Pending)
}

pub(super) fn due(rollout: &Rollout, seen: &Observation, done: bool) -> Action {
    if done {
        return Action::RemoveFinalizer;
    }
    let mut of: Vec<_> = rollout.current.iter().chain(&rollout.touched).cloned().collect();
    for retained in &seen.retained {
        if !of.contains(&retained.release) {
            of.push(retained.release.clone());
        }
    }
    Action::Remove { of }
}
