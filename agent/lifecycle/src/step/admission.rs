//! Admission: whether the assigned version may start, and whether it may do so now.

use super::view::View;
use crate::api::OnUnsafe;
use crate::ledger::rollout::Rollout;
use crate::ledger::state::State;
use crate::reason::{Fault, Reason};
use crate::spec::assignment::Assignment;
use crate::spec::maintenance_window::ClosedWindows;
use crate::spec::upgrade_path::{reject_changed_digest, validate_path};

/// Returns the assignment if it may follow what runs, whenever that is.
///
/// # Errors
/// The assignment cannot be read, its version may not follow the current one, or it conflicts with other add-ons.
pub(super) fn admit<'a>(rollout: &Rollout, view: View<'a>) -> Result<&'a Assignment, Fault> {
    let assignment = view.seen.assignment.as_deref().map_err(Clone::clone)?;
    let (current, previous) = (rollout.current.as_ref(), rollout.previous.as_ref());
    validate_path(assignment, current, previous, view.seen.kubernetes.as_ref())?;
    let mut touched = rollout.touched.iter();
    touched.try_for_each(|touched| reject_changed_digest(&assignment.release, touched))?;
    find_conflict(rollout, view).map_or(Ok(assignment), Err)
}

/// Returns why this version and other add-ons do not fit, where waiting does not help.
pub(super) fn find_conflict(rollout: &Rollout, view: View) -> Option<Fault> {
    let assignment = new_assignment(rollout, view)?;
    let from = rollout.current.as_ref().map(|current| &current.version);
    let dependencies = &view.seen.dependencies;
    let broken = from.and_then(|from| dependencies.find_broken(from, &assignment.release.version));
    broken.or_else(|| dependencies.find_cycle(&assignment.requires))
}

/// Returns why nothing new may start now, or that the add-on has to queue.
pub(super) fn find_delay_or_queue(rollout: &Rollout, view: View) -> Option<Fault> {
    let queued = || Fault::new(Reason::Queued, "waiting for other rollouts on this cluster to end");
    find_delay(rollout, view).or_else(|| (!view.seen.has_slot).then(queued))
}

/// Returns why nothing new may start now, even if no other rollout were under way.
pub(super) fn find_delay(rollout: &Rollout, view: View) -> Option<Fault> {
    if view.seen.is_paused {
        return Some(Fault::new(Reason::Paused, "paused by annotation; nothing new starts"));
    }
    let closed = closed_window(rollout, view);
    let closed = closed.map(|closed| Fault::new(Reason::OutsideWindow, closed.message()));
    closed.or_else(|| find_unmet(rollout, view))
}

/// Returns the maintenance windows if all of them are closed. What runs already is nothing new, and a rollout whose hooks
/// were started in a window may continue after it.
pub(super) fn closed_window(rollout: &Rollout, view: View) -> Option<ClosedWindows> {
    let key = view.seen.assignment_key();
    let is_same = |it: &crate::Operation| it.assignment.is_same_request(&key);
    let is_prepared = matches!(rollout.state, State::PreUpgrade { .. })
        && rollout.operation.as_ref().is_some_and(is_same);
    if is_prepared || view.seen.ignores_windows || runs_already(rollout, view) {
        return None;
    }
    view.seen.assignment.as_ref().ok()?.policy.windows.closed(view.now)
}

/// Returns why a checked version is held: its rollback would not be safe, and nobody accepted that.
pub(super) fn find_unsafe_rollback(rollout: &Rollout, view: View) -> Option<Fault> {
    match view.seen.policy().on_unsafe {
        OnUnsafe::Hold => rollout.unaccepted_safety().map(|safety| safety.objection()),
        OnUnsafe::Proceed => None,
    }
}

fn find_unmet(rollout: &Rollout, view: View) -> Option<Fault> {
    let assignment = new_assignment(rollout, view)?;
    view.seen.dependencies.find_unmet(&assignment.requires)
}

/// The assignment, if its release does not run already.
fn new_assignment<'a>(rollout: &Rollout, view: View<'a>) -> Option<&'a Assignment> {
    view.seen.assignment.as_deref().ok().filter(|_| !runs_already(rollout, view))
}

fn runs_already(rollout: &Rollout, view: View) -> bool {
    let assigned = view.seen.assigned_release();
    assigned.is_some() && assigned == rollout.current.as_ref()
}
