//! Verifying: health is watched until the soak is over.

use std::time::Duration;

use super::apply::MAX_WRITE_ATTEMPTS;
use super::reassignment::after_first_write;
use super::rewrite;
use super::transition::{Decision, Transition};
use super::view::View;
use crate::health::{ToleratedFailure, Verdict, describe_tolerated};
use crate::ledger::rollout::Rollout;
use crate::ledger::state::{State, Verification};
use crate::observation::Outcome;
use crate::reason::{Fault, Reason};

/// Time for which an object may be `Failed`: at first that may be because of what ran before.
const FAILED_GRACE: Duration = Duration::from_secs(10);

/// Watches health. `verification` has the times up to this observation.
pub(super) fn verify(rollout: Rollout, view: View, verification: Verification) -> Decision {
    if let Some(transition) = after_first_write(&rollout, view) {
        return (rollout, transition);
    }
    if let Some(fault) = rollout.crash_loop() {
        return (rollout, Transition::Fail(fault));
    }
    // A hook could not be started, or a missing object not be written again: its namespace may be missing, too.
    let is_rewriting = matches!(view.verdict(), Some(Verdict::Missing { .. }));
    if let Some(Outcome::Failed(fault)) = view.outcome()
        && !fault.transient
        && !(is_rewriting && rollout.may_retry(fault, MAX_WRITE_ATTEMPTS))
    {
        return (rollout, Transition::Fail(fault.clone()));
    }
    let rollout = rewrite::delay_next_round(rollout, view);
    match view.verdict() {
        Some(Verdict::Healthy) => soak(rollout, view, verification, &[]),
        Some(Verdict::Tolerated(tolerated)) => soak(rollout, view, verification, tolerated),
        Some(Verdict::Failed(message)) => watch_failure(rollout, view, verification, message),
        Some(Verdict::InProgress(message) | Verdict::Missing { message, .. }) => {
            let waiting = format!("waiting for {message}");
            let next = Verification { healthy_for: None, ..unfailed(verification) };
            wait(rollout, view, next, waiting, format!("not healthy in time: {message}"))
        }
        // The soak comes after the hooks: it also sees what they left.
        Some(Verdict::AwaitingHooks { awaited, .. }) => {
            let waiting = format!("healthy; verifying: waiting for {awaited}");
            let late = format!("not verified in time: {awaited}");
            wait(rollout, view, unfailed(verification), waiting, late)
        }
        None if is_late(&verification, view) => {
            let fault = Fault::new(Reason::TimedOut, "health could not be determined in time");
            (rollout, Transition::Fail(fault))
        }
        None => stay(rollout, verification),
    }
}

/// Prunes once everything was healthy for the soak.
fn soak(
    rollout: Rollout,
    view: View,
    verification: Verification,
    tolerated: &[ToleratedFailure],
) -> Decision {
    let healthy_for = view.healthy_time(verification.healthy_for);
    if healthy_for >= view.seen.policy().soak {
        let tolerated = tolerated.iter().map(ToleratedFailure::truncated).collect();
        let pruning = State::Pruning { spent: Duration::ZERO, tolerated };
        return (rollout.with_message(""), Transition::Enter(pruning));
    }
    let message = format!("healthy; waiting for the soak to end{}", describe_tolerated(tolerated));
    let next = Verification { healthy_for: Some(healthy_for), ..unfailed(verification) };
    stay(rollout.with_message(message), next)
}

/// Fails once an object was `Failed` for the grace period, or the time is over.
fn watch_failure(
    rollout: Rollout,
    view: View,
    verification: Verification,
    message: &str,
) -> Decision {
    let failed_for = view.spend_observed(verification.failed_for);
    if failed_for >= FAILED_GRACE {
        return (rollout, Transition::Fail(Fault::new(Reason::Unhealthy, message)));
    }
    let next = Verification { healthy_for: None, failed_for, ..verification };
    wait(rollout, view, next, message.to_owned(), format!("not healthy in time: {message}"))
}

/// Stays with the first message, or fails with the second if the time is over.
fn wait(
    rollout: Rollout,
    view: View,
    next: Verification,
    waiting: String,
    late: String,
) -> Decision {
    if is_late(&next, view) {
        return (rollout, Transition::Fail(Fault::new(Reason::TimedOut, late)));
    }
    stay(rollout.with_message(waiting), next)
}

fn stay(rollout: Rollout, verification: Verification) -> Decision {
    (Rollout { state: State::Verifying(verification), ..rollout }, Transition::Stay)
}

fn unfailed(verification: Verification) -> Verification {
    Verification { failed_for: Duration::ZERO, ..verification }
}

fn is_late(verification: &Verification, view: View) -> bool {
    verification.spent >= view.seen.policy().timeout
}
