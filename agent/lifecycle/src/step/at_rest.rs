//! Available and Rejected: what starts a rollout again.

use super::admission::{admit, find_conflict};
use super::transition::{Decision, Transition};
use super::view::View;
use crate::ledger::rollout::Rollout;
use crate::ledger::state::RetryFrom;
use crate::observation::Outcome;
use crate::reason::{Fault, Reason};

/// Available: only another release, or an assignment that cannot be read, starts a rollout.
pub(super) fn stay_available(rollout: Rollout, view: View) -> Decision {
    match (view.seen.assigned_release(), rollout.current.clone()) {
        (Some(assigned), Some(current)) if *assigned == current => {
            if view.seen.is_retained(&current.id) {
                return (rollout, Transition::Stay);
            }
            // Without its Secret there is no rollback to what runs: it is pulled, retained and verified again.
            (Rollout { touched: vec![current], ..rollout }, Transition::Supersede)
        }
        _ => (rollout, Transition::Supersede),
    }
}

/// Records how the removal of leftovers went that was tried again at rest.
pub(super) fn record_removal(rollout: Rollout, view: View) -> Rollout {
    let is_at_rest = rollout.phase().is_settled() && !rollout.state.is_given_up();
    let is_tried = is_at_rest && rollout.is_untouched() && !rollout.unpruned.is_empty();
    match view.outcome() {
        Some(Outcome::Pruned { leftovers }) if is_tried => {
            let keep = rollout.current.clone();
            rollout.record_unpruned(keep.as_ref(), leftovers, view.seen)
        }
        Some(_) | None => rollout,
    }
}

/// Rejected: tried again if the assignment changes, and by itself if the environment may have.
pub(super) fn stay_rejected(
    rollout: Rollout,
    view: View,
    reason: Reason,
    retry_from: Option<RetryFrom>,
) -> Decision {
    let key = view.seen.assignment_key();
    if rollout.operation.as_ref().is_none_or(|operation| operation.assignment != key) {
        return (rollout, Transition::Supersede);
    }
    match (retry_from, view.outcome()) {
        (None, _) => (rollout, Transition::Stay),
        (Some(RetryFrom::Start), _) => retry_start(rollout, view, reason),
        (Some(RetryFrom::Pull), Some(Outcome::Pulled))
        | (Some(RetryFrom::Stage), Some(Outcome::Staged))
        | (Some(RetryFrom::Check), Some(Outcome::Checked(_)))
        | (Some(_), Some(Outcome::Missing)) => (rollout, Transition::Supersede),
        (Some(retry_from), Some(Outcome::Failed(fault))) => {
            let fault = match fault.transient {
                true => Fault::new(reason, fault.message.clone()),
                false => fault.clone(),
            };
            (rollout, Transition::Reject { fault, retry_from })
        }
        _ => (rollout, Transition::Stay),
    }
}

/// Admits the assignment again after the backoff, or at once if other add-ons no longer conflict.
fn retry_start(rollout: Rollout, view: View, reason: Reason) -> Decision {
    let is_due = rollout.retry_state.backoff.is_zero();
    let is_resolved = reason.is_about_dependencies() && find_conflict(&rollout, view).is_none();
    if !is_due && !is_resolved {
        return (rollout, Transition::Stay);
    }
    match admit(&rollout, view) {
        Ok(_) => (rollout, Transition::Supersede),
        Err(fault) => {
            let retry_from = RetryFrom::Start;
            (rollout, Transition::Reject { fault, retry_from })
        }
    }
}
