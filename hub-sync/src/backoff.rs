//! Delays: the only place that turns a failure into a waiting time, and the only source of jitter. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Limits between attempts to reach the hub.
pub const HUB: Limits =
    Limits { shortest: Duration::from_secs(1), longest: Duration::from_secs(60) };

/// Limits between attempts to look up or write an assignment: a missing template is likely missing for a while.
pub const ASSIGNMENT: Limits =
    Limits { shortest: Duration::from_secs(1), longest: Duration::from_secs(300) };

/// Delay after a failure at the managed cluster's own API server, which is near and seldom away for long.
pub const LOCAL_RETRY: Duration = Duration::from_secs(1);

/// Longest sleep of a task with nothing to do. Every change wakes it earlier.
pub const IDLE: Duration = Duration::from_secs(3600);

/// Limits of an exponential delay with jitter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The first delay, and the least of every later one.
    pub shortest: Duration,
    /// The most that a delay grows to.
    pub longest: Duration,
}

impl Limits {
    /// Returns a delay between `shortest` and `shortest` doubled `failures` times, at most `longest`. The whole band is
    /// jitter, so that a fleet that lost its hub at one moment does not return at one moment. `random` is in 0..1.
    fn delay(self, failures: u32, random: f64) -> Duration {
        let doubled = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        let ceiling = self.shortest.saturating_mul(doubled).min(self.longest);
        self.shortest + ceiling.saturating_sub(self.shortest).mul_f64(random)
    }
}

/// Consecutive failures of one thing that is attempted again and again, and the time of the next attempt.
#[derive(Debug)]
pub struct Backoff {
    limits: Limits,
    failures: u32,
    next_attempt: Option<Instant>,
}

impl Backoff {
    /// Returns a backoff without failures: an attempt is due at once.
    pub fn new(limits: Limits) -> Self {
        Self { limits, failures: 0, next_attempt: None }
    }

    /// Puts the next attempt off, longer after each failure, and returns its time. `random` is in 0..1.
    pub fn record_failure(&mut self, now: Instant, random: f64) -> Instant {
        let next = now + self.limits.delay(self.failures, random);
        self.next_attempt = Some(next);
        self.failures = self.failures.saturating_add(1);
        next
    }

    /// Forgets all failures.
    pub fn reset(&mut self) {
        *self = Self::new(self.limits);
    }

    /// Makes an attempt due at once, but keeps the count: a failure puts it off as long as before.
    pub fn retry_now(&mut self) {
        self.next_attempt = None;
    }

    /// Returns whether the last attempt failed.
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Returns whether an attempt may be made.
    pub fn is_due(&self, now: Instant) -> bool {
        self.next_attempt.is_none_or(|next| next <= now)
    }

    /// Returns the time before which no attempt is made, if it was put off.
    pub fn next_attempt(&self) -> Option<Instant> {
        self.next_attempt
    }
}

/// Returns `period` plus up to a quarter of it.
pub fn at_least(period: Duration, random: f64) -> Duration {
    period + period.mul_f64(random / 4.0)
}

/// Returns `period` plus or minus up to a quarter of it.
pub fn about(period: Duration, random: f64) -> Duration {
    period.mul_f64(0.75 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_limit_and_no_further() {
        let longest = |failures| HUB.delay(failures, 0.999_999).as_secs_f64().round();
        assert_eq!([0, 1, 2, 3, 6, 31, 4000].map(longest), [1.0, 2.0, 4.0, 8.0, 60.0, 60.0, 60.0]);
    }

    #[test]
    fn no_delay_is_below_the_shortest() {
        for failures in 0..40 {
            assert_eq!(HUB.delay(failures, 0.0), Duration::from_secs(1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_failure_puts_the_next_attempt_off_further_until_a_reset() {
        let mut backoff = Backoff::new(HUB);
        let now = Instant::now();
        assert!(backoff.is_due(now) && !backoff.is_failing());
        for seconds in [1, 2, 4] {
            assert_eq!(backoff.record_failure(now, 1.0), now + Duration::from_secs(seconds));
            assert!(!backoff.is_due(now) && backoff.is_failing());
        }
        backoff.retry_now();
        assert!(backoff.is_due(now) && backoff.is_failing());
        backoff.reset();
        assert_eq!(backoff.record_failure(now, 1.0), now + Duration::from_secs(1));
    }

    #[test]
    fn periods_stay_in_their_bands() {
        let minute = Duration::from_secs(60);
        assert_eq!([0.0, 1.0].map(|random| at_least(minute, random).as_secs()), [60, 75]);
        assert_eq!([0.0, 0.5, 1.0].map(|random| about(minute, random).as_secs()), [45, 60, 75]);
    }
}
