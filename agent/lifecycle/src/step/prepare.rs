//! Pulling, Staging and Checking, with the hooks before the first write. Until then nothing in the cluster has changed.

use std::time::Duration;

use super::admission::{find_conflict, find_delay_or_queue, find_unsafe_rollback};
use super::reassignment::before_first_write;
use super::transition::{Decision, Transition};
use super::view::View;
use crate::api::OperationKind;
use crate::health::HookStatus;
use crate::ledger::rollout::Rollout;
use crate::ledger::state::{RetryFrom, State};
use crate::observation::{CheckReport, Outcome};
use crate::plan::waves::Wave;
use crate::reason::{Fault, Reason};

/// Attempts, about three minutes, after which a pull or a stage with transient faults counts as refused.
const MAX_PULL_ATTEMPTS: u32 = 10;

/// Attempts, a few seconds, in which a finding that the environment can correct may pass.
const MAX_CHECK_ATTEMPTS: u32 = 2;

/// Time for which the API server may be unable to finish a check before that counts as refused.
const MAX_INCONCLUSIVE_TIME: Duration = Duration::from_secs(30);

/// Waits until the bundle is downloaded.
pub(super) fn pull(rollout: Rollout, view: View) -> Decision {
    if let Some(transition) = interrupt(&rollout, view, RetryFrom::Pull) {
        return (rollout, transition);
    }
    match view.outcome() {
        Some(Outcome::Pulled) => (rollout.with_message(""), Transition::Enter(State::Staging)),
        Some(Outcome::Missing) => (rollout, Transition::PullAgain),
        Some(Outcome::Failed(fault)) => retry_or_reject(rollout, fault, view, RetryFrom::Pull),
        _ => (rollout, Transition::Stay),
    }
}

/// Waits until the release is retained.
pub(super) fn stage(rollout: Rollout, view: View) -> Decision {
    if let Some(transition) = interrupt(&rollout, view, RetryFrom::Stage) {
        return (rollout, transition);
    }
    match view.outcome() {
        Some(Outcome::Staged) => {
            let checking = State::Checking { inconclusive_for: Duration::ZERO };
            (rollout.mark_verified().with_message(""), Transition::Enter(checking))
        }
        Some(Outcome::Missing) => (rollout, Transition::PullAgain),
        Some(Outcome::Failed(fault)) => retry_or_reject(rollout, fault, view, RetryFrom::Stage),
        _ => (rollout, Transition::Stay),
    }
}

/// Waits until the release is checked. `inconclusive_for` is how long the API server could not finish that.
pub(super) fn check(rollout: Rollout, view: View, inconclusive_for: Duration) -> Decision {
    if let Some(transition) = interrupt(&rollout, view, RetryFrom::Check) {
        return (rollout, transition);
    }
    let is_transient = matches!(view.outcome(), Some(Outcome::Failed(fault)) if fault.transient);
    // From the first attempt that was not finished, the backoff between attempts counts as well.
    let is_inconclusive = is_transient || rollout.retry_state.attempts > 0;
    let inconclusive_for =
        if is_inconclusive { view.spend(inconclusive_for) } else { inconclusive_for };
    let rollout = Rollout { state: State::Checking { inconclusive_for }, ..rollout };
    match view.outcome() {
        Some(Outcome::Checked(report)) => pass_check(rollout, report, view),
        Some(Outcome::Missing) => (rollout, Transition::PullAgain),
        Some(Outcome::Failed(fault)) if fault.transient => {
            if inconclusive_for < MAX_INCONCLUSIVE_TIME {
                return retry(rollout, &fault.message, view);
            }
            let fault = Fault::new(Reason::CheckFailed, fault.message.clone());
            reject(rollout, fault, RetryFrom::Check)
        }
        Some(Outcome::Failed(fault)) if rollout.may_retry(fault, MAX_CHECK_ATTEMPTS) => {
            retry(rollout, &fault.message, view)
        }
        Some(Outcome::Failed(fault)) => reject(rollout, fault.clone(), RetryFrom::Check),
        _ => (rollout, Transition::Stay),
    }
}

/// Waits for the hooks before the first write. If they do not succeed, the upgrade is rejected.
pub(super) fn run_pre_upgrade_hooks(rollout: Rollout, view: View, spent: Duration) -> Decision {
    if let Some(transition) = interrupt(&rollout, view, RetryFrom::Check) {
        return (rollout, transition);
    }
    let rollout = Rollout { state: State::PreUpgrade { spent }, ..rollout };
    let is_late = spent >= view.seen.policy().timeout;
    match view.outcome() {
        Some(Outcome::HooksRan(HookStatus::Succeeded)) => begin_writing(rollout, view),
        Some(Outcome::HooksRan(HookStatus::Failed(message))) => {
            reject_hook(rollout, format!("a pre-upgrade hook failed: {message}"))
        }
        Some(Outcome::HooksRan(HookStatus::Running(hook) | HookStatus::NotStarted(hook))) => {
            match is_late {
                true => reject_hook(
                    rollout,
                    format!("a pre-upgrade hook did not end in time: waiting for {hook}"),
                ),
                false => retry(rollout, &format!("waiting for {hook}"), view),
            }
        }
        Some(Outcome::Missing) => (rollout, Transition::PullAgain),
        Some(Outcome::Failed(fault)) if fault.transient && !is_late => {
            retry(rollout, &fault.message, view)
        }
        Some(Outcome::Failed(fault)) if fault.transient => {
            let fault = Fault::new(Reason::CheckFailed, fault.message.clone());
            reject(rollout, fault, RetryFrom::Check)
        }
        Some(Outcome::Failed(fault)) => reject(rollout, fault.clone(), RetryFrom::Check),
        _ => (rollout, Transition::Stay),
    }
}

/// Another assignment ends the preparation, and so does a crash loop.
fn interrupt(rollout: &Rollout, view: View, retry_from: RetryFrom) -> Option<Transition> {
    before_first_write(rollout, view).or_else(|| {
        let fault = rollout.crash_loop()?;
        Some(Transition::Reject { fault, retry_from })
    })
}

fn pass_check(rollout: Rollout, report: &CheckReport, view: View) -> Decision {
    let CheckReport { rollback_safety, warnings, has_pre_upgrade_hooks, preexisting_failures } =
        report;
    let rollout = rollout
        .record_preexisting_failures(preexisting_failures)
        .record_check(rollback_safety.clone(), warnings.clone());
    if !has_pre_upgrade_hooks || !is_upgrade(&rollout) {
        return begin_writing(rollout, view);
    }
    match find_hold(&rollout, view) {
        Some(transition) => (rollout, transition),
        None => {
            let pre_upgrade = State::PreUpgrade { spent: Duration::ZERO };
            (rollout.with_message(""), Transition::Enter(pre_upgrade))
        }
    }
}

/// A rollback runs no hook again, and before an install there is nothing to prepare.
fn is_upgrade(rollout: &Rollout) -> bool {
    let kind = rollout.operation.as_ref().map(|operation| operation.kind);
    kind == Some(OperationKind::Upgrade)
}

/// The last moment before the first write.
fn begin_writing(rollout: Rollout, view: View) -> Decision {
    if let Some(transition) = find_hold(&rollout, view) {
        return (rollout, transition);
    }
    let applying = State::Applying { wave: Wave::Namespaces, spent: Duration::ZERO };
    (rollout.touch_target().with_warnings(), Transition::Enter(applying))
}

/// Returns what holds a version back before its first write. A release that is half written is not left so.
fn find_hold(rollout: &Rollout, view: View) -> Option<Transition> {
    if !rollout.is_untouched() {
        return None;
    }
    if let Some(fault) = find_conflict(rollout, view) {
        return Some(Transition::Reject { fault, retry_from: RetryFrom::Start });
    }
    let delay = find_delay_or_queue(rollout, view);
    delay.or_else(|| find_unsafe_rollback(rollout, view)).map(Transition::Wait)
}

/// A transient fault of a pull or a stage is retried for a while.
fn retry_or_reject(rollout: Rollout, fault: &Fault, view: View, retry_from: RetryFrom) -> Decision {
    if fault.transient && rollout.retry_state.attempts < MAX_PULL_ATTEMPTS {
        return retry(rollout, &fault.message, view);
    }
    reject(rollout, fault.clone(), retry_from)
}

fn retry(rollout: Rollout, message: &str, view: View) -> Decision {
    (rollout.retry_later(message, view.seen.jitter), Transition::Stay)
}

fn reject_hook(rollout: Rollout, message: String) -> Decision {
    let fault = Fault::new(Reason::HookFailed, message);
    reject(rollout.request_evidence(&fault), fault, RetryFrom::Check)
}

fn reject(rollout: Rollout, fault: Fault, retry_from: RetryFrom) -> Decision {
    (rollout, Transition::Reject { fault, retry_from })
}
