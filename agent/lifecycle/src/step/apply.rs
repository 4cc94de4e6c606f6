//! Applying: the release is written, wave by wave.

use std::time::Duration;

use super::reassignment::after_first_write;
use super::transition::{Decision, Transition};
use super::view::View;
use crate::ledger::rollout::Rollout;
use crate::ledger::state::{State, Verification};
use crate::observation::Outcome;
use crate::plan::waves::Wave;
use crate::reason::{Fault, Reason};

/// Attempts, some twenty seconds, in which a refusal to write what the check allowed may pass.
pub(super) const MAX_WRITE_ATTEMPTS: u32 = 5;

/// Goes on to the next wave, retries, or fails.
pub(super) fn apply(rollout: Rollout, view: View, wave: Wave, spent: Duration) -> Decision {
    if let Some(transition) = after_first_write(&rollout, view) {
        return (rollout, transition);
    }
    if let Some(fault) = rollout.crash_loop() {
        return (rollout, Transition::Fail(fault));
    }
    let is_late = spent >= view.seen.policy().timeout;
    let rollout = Rollout { state: State::Applying { wave, spent }, ..rollout };
    match view.outcome() {
        Some(Outcome::Applied { wave: applied, .. }) if *applied == wave => {
            (rollout.with_warnings(), Transition::Enter(after(wave, spent)))
        }
        Some(Outcome::Missing) => (rollout, Transition::PullAgain),
        Some(Outcome::Failed(fault))
            if !is_late && (fault.transient || rollout.may_retry(fault, MAX_WRITE_ATTEMPTS)) =>
        {
            let message = fault.message.clone();
            (rollout.retry_later(message, view.seen.jitter), Transition::Stay)
        }
        Some(Outcome::Failed(fault)) if fault.transient => {
            let message = format!("not everything was applied in time: {}", fault.message);
            (rollout, Transition::Fail(Fault::new(Reason::TimedOut, message)))
        }
        Some(Outcome::Failed(fault)) => (rollout, Transition::Fail(fault.clone())),
        _ => (rollout, Transition::Stay),
    }
}

fn after(wave: Wave, spent: Duration) -> State {
    match wave.next() {
        Some(wave) => State::Applying { wave, spent },
        None => State::Verifying(Verification { spent, ..Verification::default() }),
    }
}
