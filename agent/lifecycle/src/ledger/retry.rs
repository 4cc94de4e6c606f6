//! Attempts, backoff and crashes at one place of a rollout, counted in spent time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::spec::duration::millis;

/// Longest backoff after a failed attempt. The first is one second, each further one twice as long.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Consecutive agent crashes at one place of a rollout after which it is given up.
const MAX_CRASHES: u32 = 3;

/// Backoff after so many crashes where nothing can be given up: in an uninstall.
const CRASH_BACKOFF: Duration = Duration::from_secs(5 * 60);

/// Time, ± 25 %, between attempts at something that only a change in the environment can resolve.
const LONG_BACKOFF: Duration = Duration::from_secs(5 * 60);

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
    pub fn is_agent_crash_loop(&self) -> bool {
        self.crashes >= MAX_CRASHES
    }

    /// Returns the state after one more crash.
    pub(crate) fn after_crash(&self) -> Self {
        let mut next = Self { crashes: self.crashes.saturating_add(1), ..self.clone() };
        if next.is_agent_crash_loop() {
            next.backoff = next.backoff.max(CRASH_BACKOFF);
        }
        next
    }

    /// Returns the state after one more failed attempt. `jitter`, from 0 to 1, shortens the backoff to half at most.
    pub(crate) fn after_failure(&self, jitter: f64) -> Self {
        self.after_failure_within(MAX_BACKOFF, jitter)
    }

    /// The same with another longest backoff.
    pub(crate) fn after_failure_within(&self, max_backoff: Duration, jitter: f64) -> Self {
        let attempts = self.attempts.saturating_add(1);
        let backoff = Duration::from_secs(1 << (attempts - 1).min(6)).min(max_backoff);
        Self { attempts, backoff: backoff.mul_f64(0.5 + jitter / 2.0), ..self.clone() }
    }

    /// Returns the state with a backoff of about five minutes, unless one is going on. It counts no attempt: nothing new
    /// has to be saved.
    pub(crate) fn paused(self, jitter: f64) -> Self {
        let backoff = LONG_BACKOFF.mul_f64(0.75 + jitter / 2.0);
        if self.backoff.is_zero() { Self { backoff, ..self } } else { self }
    }

    /// Returns the state after `elapsed` was spent.
    pub(crate) fn elapse(self, elapsed: Duration) -> Self {
        Self { backoff: self.backoff.saturating_sub(elapsed), ..self }
    }
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}
