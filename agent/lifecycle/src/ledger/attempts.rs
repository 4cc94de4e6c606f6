//! When something is tried again, and when it is given up.

use std::time::Duration;

use crate::ledger::left_behind::{Leftover, list_leftovers};
use crate::ledger::rollout::Rollout;
use crate::reason::{ActionableBy, Fault, Reason};

/// Attempts, about a minute, in which removed objects may disappear: a namespace takes some seconds.
const MAX_PRUNE_ATTEMPTS: u32 = 7;

/// Longest backoff of the first attempts of an uninstall. Most objects disappear within seconds, a namespace takes five.
const MAX_UNINSTALL_BACKOFF: Duration = Duration::from_secs(2);

/// Attempts of an uninstall that keep to it.
const MAX_QUICK_UNINSTALL_ATTEMPTS: u32 = 20;

impl Rollout {
    /// Counts one more crash of the agent. An agent that finds a rollout under way when it starts saves this before it does
    /// anything else: if it crashes here like the one before, the next one knows.
    pub fn count_crash(mut self) -> Self {
        self.retry_state = self.retry_state.after_crash();
        self
    }

    /// Returns the fault of a crash loop, if the agent is in one.
    pub(crate) fn crash_loop(&self) -> Option<Fault> {
        self.retry_state.is_agent_crash_loop().then(|| {
            let (crashes, phase) = (self.retry_state.crashes, self.phase().name());
            let message = format!("the agent crashed {crashes} times in a row while {phase}");
            Fault::new(Reason::CrashLoop, message)
        })
    }

    /// Stays, and tries the same again after a backoff. Until then the message is shown.
    pub(crate) fn retry_later(mut self, message: impl Into<String>, jitter: f64) -> Self {
        self.retry_state = self.retry_state.after_failure(jitter);
        self.with_message(message)
    }

    /// Tries again what only a change in the environment can resolve, after about five minutes. Nothing new is shown.
    pub(crate) fn pause(mut self, jitter: f64) -> Self {
        self.retry_state = self.retry_state.paused(jitter);
        self
    }

    /// Forgets the agent's crashes: after a long backoff it tries afresh.
    pub(crate) fn forget_crashes(mut self) -> Self {
        self.retry_state.crashes = 0;
        self
    }

    /// Returns whether a lasting fault is tried again: until so many attempts were made the environment may change.
    pub(crate) fn may_retry(&self, fault: &Fault, max_attempts: u32) -> bool {
        match fault.reason.actionable_by() {
            ActionableBy::Environment => self.retry_state.attempts < max_attempts,
            ActionableBy::Assignment | ActionableBy::Nobody => false,
        }
    }

    /// Returns whether a prune waits for its leftovers to disappear.
    pub(crate) fn may_await_prune(&self, leftovers: &[Leftover]) -> bool {
        !leftovers.is_empty() && self.retry_state.attempts < MAX_PRUNE_ATTEMPTS
    }

    /// Stays until the leftovers of a prune disappear, and looks again after a backoff.
    pub(crate) fn await_prune(self, leftovers: &[Leftover], jitter: f64) -> Self {
        self.retry_later(format!("waiting for {} to be gone", list_leftovers(leftovers)), jitter)
    }

    /// Returns whether a failed prune is tried again. A lasting fault may pass, too, as lost rights are granted again; what
    /// is given up is never removed.
    pub(crate) fn may_retry_prune(&self, fault: &Fault) -> bool {
        fault.transient || self.retry_state.attempts < MAX_PRUNE_ATTEMPTS
    }

    /// Returns whether a wave has to be gone before the next is removed. The last attempt goes through all waves: an object
    /// that waits for a finalizer which nobody removes must not keep the others.
    pub(crate) fn prunes_in_order(&self) -> bool {
        self.retry_state.attempts < MAX_PRUNE_ATTEMPTS
    }

    /// Returns whether an uninstall goes on to the next wave although objects of the last one are refused.
    pub(crate) fn uninstalls_past_refused(&self) -> bool {
        self.retry_state.attempts >= MAX_QUICK_UNINSTALL_ATTEMPTS
    }

    /// Stays until the leftovers of an uninstall disappear. It looks again soon: this takes its time, and is no failure.
    pub(crate) fn await_uninstall(mut self, leftovers: &[Leftover], jitter: f64) -> Self {
        let is_quick = self.retry_state.attempts < MAX_QUICK_UNINSTALL_ATTEMPTS;
        self.retry_state = match is_quick {
            true => self.retry_state.after_failure_within(MAX_UNINSTALL_BACKOFF, jitter),
            false => self.retry_state.after_failure(jitter),
        };
        let (count, list) = (leftovers.len(), list_leftovers(leftovers));
        self.with_message(format!("waiting for objects to be gone ({count}): {list}"))
    }
}
