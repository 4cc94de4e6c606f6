//! Pruning: what the release dropped is removed, and then it is available.

use std::time::Duration;

use super::reassignment::after_first_write;
use super::transition::{Decision, Transition};
use super::view::View;
use crate::api::OperationResult;
use crate::health::{ToleratedFailure, describe_tolerated};
use crate::ledger::left_behind::Leftover;
use crate::ledger::rollout::Rollout;
use crate::ledger::state::State;
use crate::observation::Outcome;
use crate::reason::Fault;

/// Time for which a failing removal is tried. The release is healthy by then, so leftovers are reported and cause no
/// rollback.
const MAX_PRUNE_TIME: Duration = Duration::from_secs(120);

/// Removes what the release dropped, as far as that succeeds.
pub(super) fn prune(
    rollout: Rollout,
    view: View,
    spent: Duration,
    tolerated: Vec<ToleratedFailure>,
) -> Decision {
    if let Some(transition) = after_first_write(&rollout, view) {
        return (rollout, transition);
    }
    if let Some(cause) = rollout.crash_loop() {
        return complete(rollout, view, &tolerated, &[Leftover::GivenUp { cause }]);
    }
    let state = State::Pruning { spent, tolerated: tolerated.clone() };
    let rollout = Rollout { state, ..rollout };
    match view.outcome() {
        Some(Outcome::Pruned { leftovers }) if rollout.may_await_prune(leftovers) => {
            (rollout.await_prune(leftovers, view.seen.jitter), Transition::Stay)
        }
        Some(Outcome::Pruned { leftovers }) => complete(rollout, view, &tolerated, leftovers),
        Some(Outcome::Failed(fault))
            if rollout.may_retry_prune(fault) && spent < MAX_PRUNE_TIME =>
        {
            (rollout.retry_later(fault.message.clone(), view.seen.jitter), Transition::Stay)
        }
        Some(Outcome::Failed(fault)) => {
            complete(rollout, view, &tolerated, &[Leftover::GivenUp { cause: fault.clone() }])
        }
        Some(Outcome::Missing) if is_target_retained(&rollout, view) => {
            complete(rollout, view, &tolerated, &[Leftover::LostBaseline])
        }
        Some(Outcome::Missing) => (rollout, Transition::PullAgain),
        _ => (rollout, Transition::Stay),
    }
}

fn is_target_retained(rollout: &Rollout, view: View) -> bool {
    rollout.target().is_some_and(|target| view.seen.is_retained(&target.id))
}

/// Makes the target the current release.
fn complete(
    rollout: Rollout,
    view: View,
    tolerated: &[ToleratedFailure],
    leftovers: &[Leftover],
) -> Decision {
    let Some(operation) = rollout.operation.as_ref() else { return (rollout, Transition::Stay) };
    let Some(target) = operation.target.as_ref() else { return (rollout, Transition::Stay) };
    let message = format!("{} is available{}", target.version, describe_tolerated(tolerated));
    let end = Fault::new(operation.success_reason(), message);
    let (target, end) = (target.clone(), end);
    let rollout = rollout.record_unpruned(Some(&target), leftovers, view.seen);
    let rollout = rollout.promote_target().forget_touched();
    let rollout = rollout.finish(OperationResult::Succeeded, end, view.now);
    (rollout, Transition::Enter(State::Available))
}
