//! RollingBack: the last release that was available is restored. A failed install has none, and is removed.

use std::time::Duration;

use super::rewrite;
use super::transition::{Decision, Transition};
use super::view::View;
use crate::api::{OperationKind, OperationResult};
use crate::health::Verdict;
use crate::ledger::left_behind::Leftover;
use crate::ledger::operation::Operation;
use crate::ledger::retry::RetryState;
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
        State::RollingBack(Rollback {
            step,
            cause,
            requested,
            retried_when_healthy: false,
            given_up: None,
            spent: Duration::ZERO,
        })
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

/// Continues a rollback, also one that was given up. `rollback` has the time up to this observation.
pub(super) fn roll_back(rollout: Rollout, view: View, rollback: Rollback) -> Decision {
    let rollout = match rollout.crash_loop() {
        Some(fault) if rollback.given_up.is_none() => {
            return give_up_crashing(rollout, view, rollback, fault);
        }
        Some(_) if !rollout.retry_state.backoff.is_zero() => return stay(rollout, rollback),
        Some(_) => rollout.forget_crashes(),
        None => rollout,
    };
    match (rollback.step.clone(), view.outcome()) {
        (RollbackStep::Withdraw, Some(Outcome::Pruned { .. })) => {
            advance(rollout, &rollback, RollbackStep::Apply { wave: Wave::Namespaces })
        }
        (RollbackStep::Apply { wave }, Some(Outcome::Applied { wave: applied, kept, refused }))
            if *applied == wave =>
        {
            let rollout = rollout.record_restored_wave(wave, kept, refused);
            after_wave(rollout, view, rollback, wave)
        }
        (RollbackStep::Prune, Some(outcome)) => prune(rollout, view, rollback, outcome),
        (_, Some(Outcome::Missing)) => {
            give_up(rollout, view, rollback, "the retained release to roll back to is gone")
        }
        (RollbackStep::Verify { healthy_for }, _) => verify(rollout, view, rollback, healthy_for),
        (_, Some(Outcome::Failed(fault))) => retry(rollout, view, rollback, fault),
        _ => stay(rollout, rollback),
    }
}

fn give_up_crashing(rollout: Rollout, view: View, rollback: Rollback, fault: Fault) -> Decision {
    match rollback.step {
        RollbackStep::Prune => {
            complete(rollout, view, rollback, &[Leftover::GivenUp { cause: fault }])
        }
        RollbackStep::Withdraw | RollbackStep::Apply { .. } | RollbackStep::Verify { .. } => {
            give_up(rollout, view, rollback, &fault.message)
        }
    }
}

/// Every fault is retried until the time is over: there is nothing better to do.
fn retry(rollout: Rollout, view: View, rollback: Rollback, fault: &Fault) -> Decision {
    if is_late(&rollback, view) {
        return give_up(rollout, view, rollback, &fault.message);
    }
    stay(rollout.retry_later(fault.message.clone(), view.seen.jitter), rollback)
}

/// Goes on to the next wave. Before refused objects are tried again, a moment passes.
fn after_wave(rollout: Rollout, view: View, rollback: Rollback, wave: Wave) -> Decision {
    let step = RollbackStep::after(wave);
    if step.verified().is_none() || rollout.refused_objects().is_empty() {
        return advance(rollout, &rollback, step);
    }
    let retry_state = RetryState::default().after_failure(view.seen.jitter);
    stay(Rollout { retry_state, ..rollout }, Rollback { step, ..rollback })
}

/// Removes what only the failed release has. Leftovers are reported and fail nothing.
fn prune(rollout: Rollout, view: View, rollback: Rollback, outcome: &Outcome) -> Decision {
    let is_given_up = rollback.given_up.is_some();
    match outcome {
        Outcome::Pruned { leftovers } if !is_given_up && rollout.may_await_prune(leftovers) => {
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

/// Watches the health of the restored release, and has refused and missing objects written again meanwhile.
fn verify(
    rollout: Rollout,
    view: View,
    rollback: Rollback,
    healthy_for: Option<Duration>,
) -> Decision {
    let (rollout, has_restored) = rewrite::record(rollout, view);
    let healthy_for = healthy_for.filter(|_| !has_restored);
    let rollout = rewrite::delay_next_round(rollout, view);
    match view.verdict() {
        Some(Verdict::Healthy | Verdict::Tolerated(_)) => {
            let healthy_for = view.healthy_time(healthy_for);
            // Without a workload there is nothing to wait for until it is restored.
            let is_lacking = rollback.given_up.is_some() && rollout.refused_workload().is_some();
            if is_lacking || healthy_for >= view.seen.policy().soak {
                return after_soak(rollout, view, rollback, healthy_for);
            }
            let message = rollback.cause.message.clone();
            stay(show(rollout, &rollback, message), verifying(rollback, Some(healthy_for)))
        }
        None if is_late(&rollback, view) => {
            give_up(rollout, view, rollback, "health could not be determined in time")
        }
        None => stay(rollout, verifying(rollback, healthy_for)),
        Some(
            Verdict::InProgress(message)
            | Verdict::Missing { message, .. }
            | Verdict::Failed(message)
            | Verdict::AwaitingHooks { awaited: message, .. },
        ) if is_late(&rollback, view) => {
            let message = format!("not healthy in time: {message}");
            give_up(rollout, view, verifying(rollback, None), &message)
        }
        // Remains of the failed version may look like a failure for a while.
        Some(
            Verdict::InProgress(message)
            | Verdict::Missing { message, .. }
            | Verdict::Failed(message)
            | Verdict::AwaitingHooks { awaited: message, .. },
        ) => {
            let message = format!("{}; waiting for {message}", rollback.cause.message);
            stay(show(rollout, &rollback, message), verifying(rollback, None))
        }
    }
}

fn verifying(rollback: Rollback, healthy_for: Option<Duration>) -> Rollback {
    Rollback { step: RollbackStep::Verify { healthy_for }, ..rollback }
}

/// Everything that runs is healthy. Refused objects are tried once more, those with a transient cause until the time is
/// over. Without all workloads the release is not restored, and nothing is removed that they may need.
fn after_soak(rollout: Rollout, view: View, rollback: Rollback, healthy_for: Duration) -> Decision {
    let refused = rollout.refused_objects();
    let Some(first) = refused.iter().map(|refused| refused.object.wave()).min() else {
        return advance(rollout, &rollback, RollbackStep::Prune);
    };
    if !rollback.retried_when_healthy && rollback.given_up.is_none() {
        let rollback = Rollback { retried_when_healthy: true, ..rollback };
        return advance(rollout, &rollback, RollbackStep::Apply { wave: first });
    }
    let is_transient = refused.iter().any(|refused| refused.cause.transient);
    if is_transient && !is_late(&rollback, view) {
        return stay(rollout, verifying(rollback, Some(healthy_for)));
    }
    match rollout.refused_workload() {
        Some(workload) => {
            let message = format!("{workload} could not be restored");
            give_up(rollout, view, verifying(rollback, None), &message)
        }
        None => advance(rollout, &rollback, RollbackStep::Prune),
    }
}

fn stay(rollout: Rollout, rollback: Rollback) -> Decision {
    (Rollout { state: State::RollingBack(rollback), ..rollout }, Transition::Stay)
}

/// Shows a message. An operation that was given up keeps the reason of that.
fn show(rollout: Rollout, rollback: &Rollback, message: String) -> Rollout {
    if rollback.given_up.is_some() { rollout } else { rollout.with_message(message) }
}

/// Begins the next step. The message shows the cause again: what delayed the last step is over.
fn advance(rollout: Rollout, rollback: &Rollback, step: RollbackStep) -> Decision {
    let rollout = show(rollout, rollback, rollback.cause.message.clone());
    let state = State::RollingBack(Rollback { step, ..rollback.clone() });
    (rollout, Transition::Enter(state))
}

/// Ends the rollback: only the restored release is left, or none after a failed install.
fn complete(rollout: Rollout, view: View, rollback: Rollback, leftovers: &[Leftover]) -> Decision {
    let current = rollout.current.clone();
    let rollout = rollout.record_unpruned(current.as_ref(), leftovers, view.seen).forget_touched();
    let Rollback { cause, requested, .. } = rollback;
    let Some(current) = current else {
        let rollout = rollout.finish(OperationResult::Failed, cause.clone(), view.now);
        return (rollout, Transition::Enter(State::Failed { cause }));
    };
    let message = format!("rolled back to {}: {}", current.version, cause.message);
    let is_complete = rollout.operation.as_ref().is_none_or(Operation::is_all_restored);
    let reason = if is_complete { Reason::RollbackSucceeded } else { Reason::RollbackIncomplete };
    let end = Fault::new(reason, message);
    let rollout = rollout.finish(OperationResult::Succeeded, end, view.now);
    let state = if requested { State::Available } else { State::RolledBack { cause } };
    (rollout, Transition::Enter(state))
}

/// Ends the operation without success. The rollback goes on at long intervals: the environment may change.
fn give_up(rollout: Rollout, view: View, rollback: Rollback, message: &str) -> Decision {
    if rollback.given_up.is_some() {
        let is_in_round = rollback.step.verified().is_some()
            && !matches!(view.outcome(), Some(Outcome::Failed(_) | Outcome::Missing))
            && rewrite::next_wave(&rollout, view).is_some();
        let rollout = if is_in_round { rollout } else { rollout.pause(view.seen.jitter) };
        return stay(rollout, rollback);
    }
    let cause = Fault::new(Reason::RollbackFailed, message);
    let rollout = rollout.request_evidence(&cause);
    let rollout = rollout.finish(OperationResult::Failed, cause.clone(), view.now);
    let state = State::RollingBack(Rollback { given_up: Some(cause), ..rollback });
    (rollout, Transition::Enter(state))
}

fn is_late(rollback: &Rollback, view: View) -> bool {
    let timeout = view.seen.policy().timeout.max(MIN_TIMEOUT);
    rollback.given_up.is_some() || rollback.spent >= timeout
}
