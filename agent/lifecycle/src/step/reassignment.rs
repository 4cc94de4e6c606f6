//! Reassignment: another release is assigned while a rollout is under way.

use super::admission::{admit, find_delay};
use super::transition::Transition;
use super::view::View;
use crate::bundle::release::Release;
use crate::ledger::rollout::Rollout;
use crate::reason::{Fault, Reason};

/// Returns whether the target is still the assigned release. A changed policy or a retry assigns no other release.
pub(super) fn is_target_assigned(rollout: &Rollout, view: View) -> bool {
    rollout.target().is_some() && rollout.target() == view.seen.assigned_release()
}

/// Before the first write another assignment simply takes the place of the one that is prepared.
pub(super) fn before_first_write(rollout: &Rollout, view: View) -> Option<Transition> {
    if !rollout.is_untouched() {
        return after_first_write(rollout, view);
    }
    (!is_target_assigned(rollout, view)).then_some(Transition::Supersede)
}

/// From the first write on, another assignment changes the target in place if it may be followed. While nothing new may
/// start, the present rollout is finished first, except for a return to the current release.
pub(super) fn after_first_write(rollout: &Rollout, view: View) -> Option<Transition> {
    if is_target_assigned(rollout, view) {
        return None;
    }
    let release = view.seen.assigned_release()?;
    if rollout.current.as_ref() == Some(release) {
        return Some(Transition::RollBack { cause: returned_to(release), requested: true });
    }
    admit(rollout, view).ok()?;
    find_delay(rollout, view).is_none().then_some(Transition::Begin)
}

/// The cause of a requested rollback.
pub(super) fn returned_to(release: &Release) -> Fault {
    let message = format!("the assignment returned to {}", release.version);
    Fault::new(Reason::ReturnRequested, message)
}
