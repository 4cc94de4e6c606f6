//! From seen to begun: what may start, and when.

use jiff::Timestamp;
use semver::Version;

use super::rollback;
use crate::api::{OnUnsafe, OperationKind, OperationResult};
use crate::ledger::operation::{AssignmentKey, Operation};
use crate::ledger::rollout::Rollout;
use crate::ledger::state::{RetryFrom, State};
use crate::observation::{Action, Observation};
use crate::reason::{Fault, Reason};
use crate::spec::assignment::Assignment;
use crate::spec::maintenance_window::Closed;
use crate::spec::{upgrade_path, version_range};

pub(super) fn advance(rollout: Rollout, seen: &Observation, now: Timestamp) -> Rollout {
    if is_held(&rollout, seen) {
        return rollout;
    }
    let rollout = accept(rollout, seen);
    let assignment = match refusal(&rollout, seen) {
        Ok(assignment) => assignment,
        Err(fault) => return open(rollout, seen, now).reject(fault, RetryFrom::Begin, seen, now),
    };
    if rollout.current.as_ref() == Some(&assignment.release) {
        if rollout.touched.is_empty() {
            return already(rollout, assignment, seen, now);
        }
        // A way back whose release was lost begins with pulling it again.
        if !rollout.untouched() && seen.is_retained(&assignment.release.id) {
            let why = match rollout.operation {
                Some(_) => returning(assignment),
                None => put_back(assignment),
            };
            return rollback::begin(rollout, why, true, seen, now);
        }
    }
    match blocked(&rollout, seen, now) {
        // It is initiated when it is asked for, not when its turn comes.
        Some(why) => open(rollout, seen, now).hold_up(why),
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
    upgrade_path::validate_path(assignment, current, previous, seen.kubernetes.as_ref())?;
    rollout
        .touched
        .iter()
        .try_for_each(|known| upgrade_path::reject_changed_digest(&assignment.release, known))?;
    conflict(rollout, seen).map_or(Ok(assignment), Err)
}

/// What stands between this version and the other add-ons, and waiting does not help.
pub(super) fn conflict(rollout: &Rollout, seen: &Observation) -> Option<Fault> {
    let assignment = seen.assignment.as_ref().ok().filter(|_| !runs(rollout, seen))?;
    let from = rollout.current.as_ref().map(|current| &current.version);
    let broken =
        from.and_then(|from| seen.dependencies.find_broken(from, &assignment.release.version));
    broken.or_else(|| seen.dependencies.find_cycle(&assignment.requires))
}

/// What is asked runs here already.
fn runs(rollout: &Rollout, seen: &Observation) -> bool {
    seen.wanted().is_some() && seen.wanted() == rollout.current.as_ref()
}

pub(super) fn due(rollout: &Rollout, seen: &Observation) -> Option<Action> {
    (rollout.state == State::Pending && !seen.finalizer).then_some(Action::AddFinalizer)
}

/// Why nothing new may start at this moment.
pub(super) fn blocked(rollout: &Rollout, seen: &Observation, now: Timestamp) -> Option<Fault> {
    let queued = || Fault::new(Reason::Queued, "waiting for other rollouts here to end");
    held(rollout, seen, now).or_else(|| (!seen.slot).then(queued))
}

/// Why nothing new may start, however few rollouts are under way.
pub(super) fn held(rollout: &Rollout, seen: &Observation, now: Timestamp) -> Option<Fault> {
    if seen.paused {
        return Some(Fault::new(Reason::Paused, "paused by annotation; nothing new starts"));
    }
    let closed = closed(rollout, seen, now).map(|it| Fault::new(Reason::OutsideWindow, it.told()));
    closed.or_else(|| unmet(rollout, seen))
}

fn unmet(rollout: &Rollout, seen: &Observation) -> Option<Fault> {
    let assignment = seen.assignment.as_ref().ok().filter(|_| !runs(rollout, seen))?;
    seen.dependencies.find_unmet(&assignment.requires)
}

/// What runs already is nothing new, and what was prepared in its window is gone on with.
pub(super) fn closed(rollout: &Rollout, seen: &Observation, now: Timestamp) -> Option<Closed> {
    let same = rollout.operation.as_ref().is_some_and(|it| it.asked.same_release(&seen.asked()));
    let prepared = same && matches!(rollout.state, State::PreUpgrade { .. });
    if runs(rollout, seen) || prepared || seen.any_time {
        return None;
    }
    seen.assignment.as_ref().ok()?.policy.windows.closed(now)
}

/// Held because going back would not be safe, and nobody has said anything since.
fn is_held(rollout: &Rollout, seen: &Observation) -> bool {
    let same = rollout.operation.as_ref().is_some_and(|held| held.asked == seen.asked());
    same && rollout.state == State::Waiting { reason: Reason::RollbackUnsafe }
}

/// A retry of what is held accepts what was told, and nothing that is found later.
fn accept(mut rollout: Rollout, seen: &Observation) -> Rollout {
    let held = rollout.state == State::Waiting { reason: Reason::RollbackUnsafe };
    let Some(operation) = rollout.operation.as_mut().filter(|_| held) else { return rollout };
    let asked = seen.asked();
    if operation.asked.release == asked.release && operation.asked.retry != asked.retry {
        operation.accepted_blockers = operation.rollback_safety.take().unwrap_or_default().blockers;
        operation.asked = asked;
    }
    rollout
}

/// Why what was checked does not start: going back would not be safe, and that is not accepted.
pub(super) fn objection(rollout: &Rollout, seen: &Observation) -> Option<Fault> {
    let operation = rollout.operation.as_ref()?;
    let safety = operation.rollback_safety.as_ref()?;
    let accepted =
        safety.blockers.iter().all(|blocker| operation.accepted_blockers.contains(blocker));
    match seen.policy().on_unsafe {
        OnUnsafe::Hold if !accepted => Some(safety.objection()),
        OnUnsafe::Hold | OnUnsafe::Proceed => None,
    }
}

/// A release that is retained need not be pulled.
pub(super) fn start(rollout: Rollout, assignment: &Assignment, seen: &Observation) -> Rollout {
    if seen.is_retained(&assignment.release.id) {
        return verified(rollout).to(State::Checking { unsure: Default::default() });
    }
    rollout.to(State::Pulling)
}

/// Opens an operation, or goes on with the one that was opened for the same assignment and wrote nothing.
pub(super) fn open(rollout: Rollout, seen: &Observation, now: Timestamp) -> Rollout {
    let asked = seen.asked();
    let mut rollout = rollout;
    if let Some(operation) = &mut rollout.operation
        && goes_on(operation, &asked)
    {
        operation.result = OperationResult::InProgress;
        operation.completed = None;
        operation.reason = Reason::Progressing;
        operation.asked = asked;
        return rollout.say("");
    }
    let rollout = supersede(rollout, now);
    let kind = match &asked.release {
        Some(target) => upgrade_path::operation_kind(rollout.current.as_ref(), &target.version),
        None if rollout.current.is_none() => OperationKind::Install,
        None => OperationKind::Upgrade,
    };
    let unread = asked.release.is_none().then(|| seen.version.clone());
    let mut rollout = rollout.open(kind, asked.release.clone(), Reason::Progressing, asked, now);
    if let Some(operation) = &mut rollout.operation {
        operation.unread = unread;
    }
    rollout
}

/// Put off for the same release, or refused for the very same assignment.
fn goes_on(operation: &Operation, asked: &AssignmentKey) -> bool {
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
    rollout.close(Fault::new(Reason::Superseded, "another version was assigned"), now)
}

/// What is asked runs here already, all of it: after a refusal or a rollback, the assignment came back to it, or the
/// ledger was rebuilt.
fn already(
    rollout: Rollout,
    assignment: &Assignment,
    seen: &Observation,
    now: Timestamp,
) -> Rollout {
    if rollout.operation.as_ref().is_some_and(|operation| led_here(operation, assignment)) {
        return rollout.to(State::Available);
    }
    let target = Some(assignment.release.clone());
    let (kind, reason) = match &rollout.operation {
        Some(before) => (returned(before, &assignment.release.version), Reason::ReturnRequested),
        None => (OperationKind::Upgrade, Reason::LedgerRebuilt),
    };
    let rollout = supersede(rollout, now).open(kind, target, reason, seen.asked(), now);
    let done = Fault::new(reason, format!("{} runs here already", assignment.release.version));
    verified(rollout).finish(OperationResult::Succeeded, done, now).to(State::Available)
}

/// What coming back from what was asked before is called: back only from something newer.
fn returned(before: &Operation, to: &Version) -> OperationKind {
    let unread = before.unread.as_ref().and_then(|version| Version::parse(version).ok());
    let asked = before.asked.release.as_ref().map(|asked| asked.version.clone()).or(unread);
    match asked {
        Some(asked) if !version_range::is_older(to, &asked) => OperationKind::Upgrade,
        Some(_) | None => OperationKind::Rollback,
    }
}

/// Nothing was begun since this release became Available: another one was only put off.
fn led_here(operation: &Operation, assignment: &Assignment) -> bool {
    operation.result == OperationResult::Succeeded
        && operation.asked.release.as_ref() == Some(&assignment.release)
}

/// The digest was compared, now or when the release was retained.
pub(super) fn verified(mut rollout: Rollout) -> Rollout {
    if let Some(operation) = &mut rollout.operation {
        operation.verified = true;
    }
    rollout
}

/// A ledger that was lost does not tell whether something else was on its way.
fn put_back(assignment: &Assignment) -> Fault {
    let version = &assignment.release.version;
    Fault::new(Reason::LedgerRebuilt, format!("the ledger was lost; {version} is put back whole"))
}

pub(super) fn returning(assignment: &Assignment) -> Fault {
    Fault::new(
        Reason::ReturnRequested,
        format!("the assignment went back to {}", assignment.release.version),
    )
}
