//! From seen to begun: what may start, and when.

use jiff::Timestamp;

use super::back;
use crate::api::{OperationKind, OperationResult};
use crate::assignment::Assignment;
use crate::observation::{Action, Observation};
use crate::reason::{Fault, Reason};
use crate::rollout::{Again, Asked, Operation, Rollout, State};
use crate::versions;

pub(super) fn advance(rollout: Rollout, seen: &Observation, now: Timestamp) -> Rollout {
    let assignment = match refusal(&rollout, seen) {
        Ok(assignment) => assignment,
        Err(fault) => return open(rollout, seen, now).reject(fault, Again::Begin, seen, now),
    };
    if rollout.current.as_ref() == Some(&assignment.release) {
        if rollout.touched.is_empty() {
            return already(rollout, assignment, seen, now);
        }
        if !rollout.untouched() {
            return back::begin(rollout, returning(assignment), true, seen, now);
        }
    }
    match blocked(seen) {
        Some(reason) => rollout.to(State::Waiting { reason }),
        // The finalizer comes first: what is begun must not be forgotten.
        None if !seen.finalizer => rollout.to(State::Pending),
        None => start(open(rollout, seen, now), assignment, seen),
    }
}

/// Why the assignment cannot be followed from where we are; otherwise the assignment.
pub(super) fn refusal<'a>(
    rollout: &Rollout,
    seen: &'a Observation,
) -> Result<&'a Assignment, Fault> {
    let assignment = seen.assignment.as_deref().map_err(Clone::clone)?;
    let (current, previous) = (rollout.current.as_ref(), rollout.previous.as_ref());
    versions::permit(assignment, current, previous, seen.kubernetes.as_ref())?;
    Ok(assignment)
}

pub(super) fn due(rollout: &Rollout, seen: &Observation) -> Option<Action> {
    (rollout.state == State::Pending && !seen.finalizer).then_some(Action::Hold)
}

/// Why nothing new may start at this moment.
pub(super) fn blocked(seen: &Observation) -> Option<Reason> {
    match (seen.paused, seen.slot) {
        (true, _) => Some(Reason::Paused),
        (false, false) => Some(Reason::Queued),
        (false, true) => None,
    }
}

/// A release that is retained need not be pulled.
pub(super) fn start(rollout: Rollout, assignment: &Assignment, seen: &Observation) -> Rollout {
    if seen.is_retained(&assignment.release.id) {
        let mut rollout = rollout.to(State::Checking { unsure: Default::default() });
        if let Some(operation) = &mut rollout.operation {
            operation.verified = true;
        }
        return rollout;
    }
    rollout.to(State::Pulling)
}

/// Opens an operation, or goes on with the one that was opened for the same assignment and wrote nothing.
pub(super) fn open(rollout: Rollout, seen: &Observation, now: Timestamp) -> Rollout {
    let asked = seen.asked();
    let mut rollout = rollout;
    match &mut rollout.operation {
        Some(operation) if goes_on(operation, &asked) => {
            operation.result = OperationResult::InProgress;
            operation.completed = None;
            operation.reason = Reason::Progressing;
            operation.asked = asked;
            return rollout;
        }
        Some(operation) if operation.completed.is_none() => rollout = supersede(rollout, now),
        Some(_) | None => {}
    }
    let kind = match &asked.release {
        Some(target) => versions::operation(rollout.current.as_ref(), &target.version),
        None if rollout.current.is_none() => OperationKind::Install,
        None => OperationKind::Upgrade,
    };
    rollout.open(kind, asked.release.clone(), Reason::Progressing, asked, now)
}

/// Put off for the same release, or refused for the very same assignment.
fn goes_on(operation: &Operation, asked: &Asked) -> bool {
    match operation.completed {
        None => operation.asked.same_release(asked),
        Some(_) => {
            operation.result == OperationResult::Failed
                && !operation.reason.is_after_first_write()
                && operation.asked == *asked
        }
    }
}

pub(super) fn supersede(rollout: Rollout, now: Timestamp) -> Rollout {
    let why = Fault::new(Reason::Superseded, "another version was assigned");
    rollout.finish(OperationResult::Failed, why, now)
}

/// What is asked runs here already, all of it: after a refusal or a rollback, the assignment came back to it.
fn already(
    rollout: Rollout,
    assignment: &Assignment,
    seen: &Observation,
    now: Timestamp,
) -> Rollout {
    let target = Some(assignment.release.clone());
    let mut rollout =
        rollout.open(OperationKind::Rollback, target, Reason::ReturnRequested, seen.asked(), now);
    if let Some(operation) = &mut rollout.operation {
        operation.verified = true;
    }
    let message = format!("{} runs here already", assignment.release.version);
    let done = Fault::new(Reason::ReturnRequested, message);
    rollout.finish(OperationResult::Succeeded, done, now).to(State::Available)
}

pub(super) fn returning(assignment: &Assignment) -> Fault {
    Fault::new(
        Reason::ReturnRequested,
        format!("the assignment went back to {}", assignment.release.version),
    )
}
