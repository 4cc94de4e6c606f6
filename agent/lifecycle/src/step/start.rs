//! Pending and Waiting: from an assignment to the operation that answers it.

use super::admission::{admit, find_delay_or_queue};
use super::reassignment::returned_to;
use super::transition::{Decision, Transition};
use super::view::View;
use crate::api::{OperationKind, OperationResult};
use crate::bundle::release::Release;
use crate::ledger::rollout::Rollout;
use crate::ledger::state::{RetryFrom, State};
use crate::reason::{Fault, Reason};

/// Decides whether the assignment starts, waits or is rejected.
pub(super) fn start(rollout: Rollout, view: View) -> Decision {
    let is_held = rollout.state == (State::Waiting { reason: Reason::RollbackUnsafe });
    if is_held && is_unchanged(&rollout, view) {
        return (rollout, Transition::Stay);
    }
    let key = view.seen.assignment_key();
    let rollout = if is_held { rollout.accept_blockers(key) } else { rollout };
    let assignment = match admit(&rollout, view) {
        Ok(assignment) => assignment,
        Err(fault) => {
            let retry_from = RetryFrom::Start;
            return (answer(rollout, view), Transition::Reject { fault, retry_from });
        }
    };
    if rollout.current.as_ref() == Some(&assignment.release) {
        if rollout.touched.is_empty() {
            return keep_running(rollout, &assignment.release, view);
        }
        // A rollback to a release that is no longer retained begins with pulling it again.
        if !rollout.is_untouched() && view.seen.is_retained(&assignment.release.id) {
            let cause = rollback_cause(&rollout, &assignment.release);
            return (rollout, Transition::RollBack { cause, requested: true });
        }
    }
    match find_delay_or_queue(&rollout, view) {
        // The operation is initiated when it is assigned, not when its turn comes.
        Some(fault) => (answer(rollout, view), Transition::Wait(fault)),
        // The finalizer comes first: once something is begun, a deletion has to wait for the agent.
        None if !view.seen.has_finalizer => (rollout, Transition::Enter(State::Pending)),
        None => (rollout, Transition::Begin),
    }
}

/// Returns whether the assignment is exactly the one that the operation answers.
fn is_unchanged(rollout: &Rollout, view: View) -> bool {
    let key = view.seen.assignment_key();
    rollout.operation.as_ref().is_some_and(|operation| operation.assignment == key)
}

fn answer(rollout: Rollout, view: View) -> Rollout {
    rollout.answer(view.seen.assignment_key(), &view.seen.spec_version, view.now)
}

/// Without an operation the ledger was lost, and something else may have been on its way.
fn rollback_cause(rollout: &Rollout, release: &Release) -> Fault {
    if rollout.operation.is_some() {
        return returned_to(release);
    }
    let message = format!("the ledger was lost; {} is restored as a whole", release.version);
    Fault::new(Reason::LedgerRebuilt, message)
}

/// The assigned release runs already, and nothing else exists: the assignment returned to it after a rejection or a
/// rollback, or the ledger was rebuilt.
fn keep_running(rollout: Rollout, release: &Release, view: View) -> Decision {
    let key = view.seen.assignment_key();
    let (kind, reason) = match &rollout.operation {
        // Nothing was begun since this release became available: another one was only put off.
        Some(operation)
            if operation.result == OperationResult::Succeeded
                && operation.assignment.release.as_ref() == Some(release) =>
        {
            return (rollout, Transition::Enter(State::Available));
        }
        Some(operation) => (operation.return_kind(&release.version), Reason::ReturnRequested),
        None => (OperationKind::Upgrade, Reason::LedgerRebuilt),
    };
    let rollout = rollout.supersede(view.now);
    let rollout = rollout.open(kind, Some(release.clone()), reason, key, view.now).mark_verified();
    let end = Fault::new(reason, format!("{} runs here already", release.version));
    let rollout = rollout.finish(OperationResult::Succeeded, end, view.now);
    (rollout, Transition::Enter(State::Available))
}
