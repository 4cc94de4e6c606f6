//! Attempts, backoff and crashes: when a failed action is tried again, and when it is given up. Counted in spent time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ledger::left_behind::{Leftover, list_leftovers};
use crate::ledger::rollout::Rollout;
use crate::reason::{ActionableBy, Fault, Reason};
use crate::spec::duration::millis;

/// Longest backoff after a failed attempt. The first is one second, each further one twice as long.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Consecutive agent crashes at one place of a rollout after which it is given up.
const MAX_CRASHES: u32 = 3;

/// Backoff after so many crashes where nothing can be given up: in an uninstall.
const CRASH_BACKOFF: Duration = Duration::from_secs(5 * 60);

/// Attempts, about a minute, in which removed objects may disappear: a namespace takes some seconds.
const MAX_PRUNE_ATTEMPTS: u32 = 7;

/// Longest interval between the first attempts of an uninstall. Most objects disappear within seconds, a namespace takes
/// five.
const UNINSTALL_INTERVAL: Duration = Duration::from_secs(2);

/// Attempts of an uninstall that keep to this interval.
const MAX_QUICK_UNINSTALL_ATTEMPTS: u32 = 20;

/// The attempts at the present place of a rollout.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RetryState {
    /// Consecutive failed attempts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// Time to spend before the next attempt.
    #[serde(default, with = "millis", skip_serializing_if = "Duration::is_zero")]
    pub backoff: Duration,
    /// Consecutive agent crashes at this place without progress.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub crashes: u32,
}

impl RetryState {
    /// Returns whether the agent crashed here so often that it does not try again at once.
    pub fn is_crash_loop(&self) -> bool {
        self.crashes >= MAX_CRASHES
    }

    /// Returns the state after one more failed attempt. `jitter`, from 0 to 1, shortens the backoff to half at most.
    pub(crate) fn after_failure(&self, jitter: f64) -> Self {
        let attempts = self.attempts.saturating_add(1);
        let backoff = Duration::from_secs(1 << (attempts - 1).min(6)).min(MAX_BACKOFF);
        Self { attempts, backoff: shorten(backoff, jitter), ..self.clone() }
    }

    /// Returns the state after `elapsed` was spent.
    pub(crate) fn elapse(self, elapsed: Duration) -> Self {
        Self { backoff: self.backoff.saturating_sub(elapsed), ..self }
    }
}

fn shorten(backoff: Duration, jitter: f64) -> Duration {
    backoff.mul_f64(0.5 + jitter / 2.0)
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Rollout {
    /// Counts one more crash of the agent. An agent that finds a rollout under way when it starts saves this before it does
    /// anything else: if it crashes here like the one before, the next one knows.
    pub fn count_crash(mut self) -> Self {
        self.retry_state.crashes = self.retry_state.crashes.saturating_add(1);
        if self.retry_state.is_crash_loop() {
            self.retry_state.backoff = self.retry_state.backoff.max(CRASH_BACKOFF);
        }
        self
    }

    /// Returns the fault of a crash loop, if the agent is in one.
    pub(crate) fn crash_loop(&self) -> Option<Fault> {
        let RetryState { crashes, .. } = self.retry_state;
        let phase = self.phase().name();
        self.retry_state.is_crash_loop().then(|| {
            let message = format!("the agent crashed {crashes} times in a row while {phase}");
            Fault::new(Reason::CrashLoop, message)
        })
    }

    /// Stays, and tries the same again after a backoff. Until then the message is shown.
    pub(crate) fn retry_later(mut self, message: impl Into<String>, jitter: f64) -> Self {
        self.retry_state = self.retry_state.after_failure(jitter);
        self.with_message(message)
    }

    /// Returns whether a lasting fault may still pass: the environment can change until so many attempts were made.
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

    /// Stays until the leftovers of an uninstall disappear, and looks again soon: this takes its time without being a
    /// failure.
    pub(crate) fn await_uninstall(mut self, leftovers: &[Leftover], jitter: f64) -> Self {
        let mut retry_state = self.retry_state.after_failure(jitter);
        if retry_state.attempts <= MAX_QUICK_UNINSTALL_ATTEMPTS {
            let interval = shorten(UNINSTALL_INTERVAL, jitter);
            retry_state.backoff = retry_state.backoff.min(interval);
        }
        self.retry_state = retry_state;
        let (count, list) = (leftovers.len(), list_leftovers(leftovers));
        self.with_message(format!("waiting for objects to be gone ({count}): {list}"))
    }
}
