//! RollingBack: the last release that was available is restored. A failed install has none, and is removed.

use std::time::Duration;

use super::transition::{Decision, Transition};
use super::view::View;
use crate::api::{OperationKind, OperationResult};
use crate::bundle::release::Release;
use crate::health::Verdict;
use crate::ledger::left_behind::{Leftover, describe_leftovers};
use crate::ledger::operation::Operation;
use crate::ledger::rollout::Rollout;
use crate::ledger::state::{Rollback, RollbackStep, State};
use crate::observation::Outcome;
use crate::plan::waves::Wave;
use crate::reason::{Fault, Reason};

/// Shortest timeout of a rollback. A short `policy.timeout` is meant for the new version.
const MIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Ends what was attempted, and begins the rollback. A failed install stays one operation: there is nothing to restore.
pub(super) fn begin(rollout: Rollout, cause: Fault, requested: bool, view: View) -> Rollout {
    let state = |step| {
        let cause = cause.clone();
        State::RollingBack(Rollback { step, cause, requested, spent: Duration::ZERO })
    };
    let Some(current) = rollout.current.clone() else {
        let message = format!("removing what was installed: {}", cause.message);
        return rollout.with_message(message).enter(state(RollbackStep::Prune));
    };
    let failed = rollout.operation.clone();
    // A rollback that nobody requested still answers the assignment that failed.
    let answered = failed.as_ref().filter(|_| !requested).map(|failed| failed.assignment.clone());
    let assignment = answered.unwrap_or_else(|| view.seen.assignment_key());
    let kind = OperationKind::Rollback;
    // The judgement of this rollback stays on record.
    let safety = failed.and_then(|failed| failed.rollback_safety);
    rollout
        .close(cause.clone(), view.now)
        .open(kind, Some(current), cause.reason, assignment, view.now)
        .record_check(safety, Vec::new())
        .mark_verified()
        .with_message(cause.message.clone())
        .enter(state(RollbackStep::Withdraw))
}

/// Continues a rollback. `rollback` has the time up to this observation.
pub(super) fn roll_back(rollout: Rollout, view: View, rollback: Rollback) -> Decision {
    if let Some(fault) = rollout.crash_loop() {
        return match rollback.step {
            RollbackStep::Prune => {
                complete(rollout, view, rollback, &[Leftover::GivenUp { cause: fault }])
            }
            RollbackStep::Withdraw | RollbackStep::Apply { .. } | RollbackStep::Verify { .. } => {
                give_up(rollout, view, &fault.message)
            }
        };
    }
    match (rollback.step.clone(), view.outcome()) {
        (RollbackStep::Withdraw, Some(Outcome::Pruned { .. })) => {
            advance(rollout, &rollback, RollbackStep::Apply { wave: Wave::Namespaces })
        }
        (RollbackStep::Apply { wave }, Some(Outcome::Applied { wave: applied, kept }))
            if *applied == wave =>
        {
            advance(rollout.record_kept_objects(kept), &rollback, RollbackStep::after(wave))
        }
        (RollbackStep::Verify { healthy_for }, _) => verify(rollout, view, rollback, healthy_for),
        (RollbackStep::Prune, Some(outcome)) => prune(rollout, view, rollback, outcome),
        (_, Some(Outcome::Missing)) => {
            give_up(rollout, view, "the retained release to roll back to is gone")
        }
        (_, Some(Outcome::Failed(fault))) => retry(rollout, view, rollback, fault),
        _ => stay(rollout, rollback),
    }
}

/// Every fault is retried until the time is over: there is nothing better to do.
fn retry(rollout: Rollout, view: View, rollback: Rollback, fault: &Fault) -> Decision {
    if is_late(&rollback, view) {
        return give_up(rollout, view, &fault.message);
    }
    stay(rollout.retry_later(fault.message.clone(), view.seen.jitter), rollback)
}

/// Removes what only the failed release has. Leftovers are reported and fail nothing.
fn prune(rollout: Rollout, view: View, rollback: Rollback, outcome: &Outcome) -> Decision {
    match outcome {
        Outcome::Pruned { leftovers } if rollout.may_await_prune(leftovers) => {
            stay(rollout.await_prune(leftovers, view.seen.jitter), rollback)
        }
        Outcome::Pruned { leftovers } => complete(rollout, view, rollback, leftovers),
        Outcome::Failed(fault) if is_late(&rollback, view) || !rollout.may_retry_prune(fault) => {
            let given_up = Leftover::GivenUp { cause: fault.clone() };
            complete(rollout, view, rollback, &[given_up])
        }
        Outcome::Failed(fault) => retry(rollout, view, rollback, fault),
        Outcome::Missing => complete(rollout, view, rollback, &[Leftover::LostBaseline]),
        Outcome::FinalizerAdded
        | Outcome::Pulled
        | Outcome::Staged
        | Outcome::Checked(_)
        | Outcome::HooksRan(_)
        | Outcome::Applied { .. }
        | Outcome::EvidenceSaved(_)
        | Outcome::Removed { .. }
        | Outcome::Retained
        | Outcome::FinalizerRemoved => stay(rollout, rollback),
    }
}

fn verify(
    rollout: Rollout,
    view: View,
    rollback: Rollback,
    healthy_for: Option<Duration>,
) -> Decision {
    let verifying = |healthy_for| {
        let step = RollbackStep::Verify { healthy_for };
        Rollback { step, ..rollback.clone() }
    };
    match view.verdict() {
        Some(Verdict::Healthy | Verdict::Tolerated(_)) => {
            let healthy_for = view.healthy_time(healthy_for);
            if healthy_for >= view.seen.policy().soak {
                return advance(rollout, &rollback, RollbackStep::Prune);
            }
            let rollout = rollout.with_message(rollback.cause.message.clone());
            stay(rollout, verifying(Some(healthy_for)))
        }
        None if is_late(&rollback, view) => {
            give_up(rollout, view, "health could not be determined in time")
        }
        None => stay(rollout, verifying(healthy_for)),
        Some(
            Verdict::InProgress(message)
            | Verdict::Failed(message)
            | Verdict::AwaitingHooks { awaited: message, .. },
        ) if is_late(&rollback, view) => {
            give_up(rollout, view, &format!("not healthy in time: {message}"))
        }
        // Remains of the failed version may look like a failure for a while.
        Some(
            Verdict::InProgress(message)
            | Verdict::Failed(message)
            | Verdict::AwaitingHooks { awaited: message, .. },
        ) => {
            let message = format!("{}; waiting for {message}", rollback.cause.message);
            stay(rollout.with_message(message), verifying(None))
        }
    }
}

fn stay(rollout: Rollout, rollback: Rollback) -> Decision {
    (Rollout { state: State::RollingBack(rollback), ..rollout }, Transition::Stay)
}

/// Begins the next step. The message shows the cause again: what delayed the last step is over.
fn advance(rollout: Rollout, rollback: &Rollback, step: RollbackStep) -> Decision {
    let rollout = rollout.with_message(rollback.cause.message.clone());
    let state = State::RollingBack(Rollback { step, ..rollback.clone() });
    (rollout, Transition::Enter(state))
}

/// Ends the rollback: only the restored release is left, or none after a failed install.
fn complete(rollout: Rollout, view: View, rollback: Rollback, leftovers: &[Leftover]) -> Decision {
    let rollout = rollout.record_leftovers(leftovers).forget_touched();
    let Rollback { cause, requested, .. } = rollback;
    let Some(current) = rollout.current.clone() else {
        let message = format!("{}{}", cause.message, describe_leftovers(leftovers));
        let cause = Fault::new(cause.reason, message);
        let rollout = rollout.finish(OperationResult::Failed, cause.clone(), view.now);
        return (rollout, Transition::Enter(State::Failed { cause }));
    };
    let end = completion(&rollout, &current, &cause, leftovers);
    let cause = if end.reason == Reason::RollbackIncomplete { end.clone() } else { cause };
    let rollout = rollout.finish(OperationResult::Succeeded, end, view.now);
    let state = if requested { State::Available } else { State::RolledBack { cause } };
    (rollout, Transition::Enter(state))
}

fn completion(
    rollout: &Rollout,
    current: &Release,
    cause: &Fault,
    leftovers: &[Leftover],
) -> Fault {
    let unremoved = describe_leftovers(leftovers);
    let message = format!("rolled back to {}: {}{unremoved}", current.version, cause.message);
    match rollout.operation.as_ref().and_then(Operation::list_kept_objects) {
        None => Fault::new(Reason::RollbackSucceeded, message),
        Some(kept) => {
            let message = format!("{message}; left as they are: {kept}");
            Fault::new(Reason::RollbackIncomplete, message)
        }
    }
}

fn give_up(rollout: Rollout, view: View, message: &str) -> Decision {
    let cause = Fault::new(Reason::RollbackFailed, message);
    let rollout = rollout.request_evidence(&cause);
    let rollout = rollout.finish(OperationResult::Failed, cause.clone(), view.now);
    (rollout, Transition::Enter(State::Failed { cause }))
}

fn is_late(rollback: &Rollback, view: View) -> bool {
    rollback.spent >= view.seen.policy().timeout.max(MIN_TIMEOUT)
}
