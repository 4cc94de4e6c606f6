//! Removing: the `ManagedAddOn` is deleted, and that is an order.

use super::transition::{Decision, Transition};
use super::view::View;
use crate::api::{Deletion, OperationKind, OperationResult};
use crate::ledger::rollout::Rollout;
use crate::ledger::state::State;
use crate::observation::Outcome;
use crate::reason::{Fault, Reason};

/// Removes everything that was installed, until nothing is left.
pub(super) fn uninstall(rollout: Rollout, view: View) -> Decision {
    let rollout = Rollout { failure: None, ..rollout };
    let State::Removing { done } = rollout.state else { return begin(rollout, view) };
    if done {
        return (rollout, Transition::Stay);
    }
    if view.seen.deletion == Deletion::Orphan {
        return complete(rollout, view, "all objects are left in place");
    }
    let jitter = view.seen.jitter;
    let rollout = match view.outcome() {
        Some(Outcome::Removed { leftovers }) if leftovers.is_empty() => {
            return complete(rollout, view, "all objects are removed");
        }
        Some(Outcome::Removed { leftovers }) => rollout.await_uninstall(leftovers, jitter),
        // Every fault is shown and retried: only the environment can correct it.
        Some(Outcome::Failed(fault)) => rollout.retry_later(fault.message.clone(), jitter),
        _ => match rollout.crash_loop() {
            Some(fault) => rollout.with_message(fault.message),
            None => rollout,
        },
    };
    (rollout, Transition::Stay)
}

fn begin(rollout: Rollout, view: View) -> Decision {
    let deleted = Fault::new(Reason::Superseded, "the ManagedAddOn was deleted");
    let (kind, key) = (OperationKind::Uninstall, view.seen.assignment_key());
    let rollout = rollout.close(deleted, view.now);
    let rollout = rollout.open(kind, None, Reason::Removing, key, view.now);
    match view.seen.deletion {
        Deletion::Uninstall => (rollout, Transition::Enter(State::Removing { done: false })),
        Deletion::Orphan => complete(rollout, view, "all objects are left in place"),
    }
}

fn complete(rollout: Rollout, view: View, message: &str) -> Decision {
    let end = Fault::new(Reason::Removing, message);
    let rollout = rollout.finish(OperationResult::Succeeded, end, view.now);
    (rollout, Transition::Enter(State::Removing { done: true }))
}
