//! How long to wait: the one place where a failure becomes a delay, and where jitter comes from.

use std::time::Duration;

/// Between tries to reach the hub.
pub const CONNECT: RetryState =
    RetryState { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

/// Between tries to carry an assignment out: what is missing is likely missing for a while.
pub const ASSIGN: RetryState =
    RetryState { first: Duration::from_secs(1), longest: Duration::from_secs(300) };

/// With nothing to do a look costs nothing and finds nothing.
pub const IDLE: Duration = Duration::from_secs(3600);

/// Exponential delays with jitter, from `first` up to the doubled delay, so that a fleet that lost its hub at once does
/// not come back at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryState {
    pub first: Duration,
    pub longest: Duration,
}

impl RetryState {
    /// Before the next try: from `first` to `first` doubled `failures` times, at most `longest`. `random` is in 0..1.
    pub fn delay(self, failures: u32, random: f64) -> Duration {
        let doubled = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        let ceiling = self.first.saturating_mul(doubled).min(self.longest);
        self.first + ceiling.saturating_sub(self.first).mul_f64(random)
    }
}

/// `period` and up to a quarter of it more.
pub fn at_least(period: Duration, random: f64) -> Duration {
    period + period.mul_f64(random / 4.0)
}

/// `period` and up to a quarter of it more or less.
pub fn dependencies(period: Duration, random: f64) -> Duration {
    period.mul_f64(0.75 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_limit_and_no_further() {
        let longest = |failures| CONNECT.delay(failures, 0.999_999).as_secs_f64().round();
        assert_eq!([0, 1, 2, 3, 6, 31, 4000].map(longest), [1.0, 2.0, 4.0, 8.0, 60.0, 60.0, 60.0]);
    }

    #[test]
    fn no_delay_is_below_the_first() {
        for failures in 0..40 {
            assert_eq!(CONNECT.delay(failures, 0.0), Duration::from_secs(1));
        }
    }

    #[test]
    fn periods_stay_in_their_bands() {
        let minute = Duration::from_secs(60);
        assert_eq!([0.0, 1.0].map(|random| at_least(minute, random).as_secs()), [60, 75]);
        assert_eq!(
            [0.0, 0.5, 1.0].map(|random| dependencies(minute, random).as_secs()),
            [45, 60, 75]
        );
    }
}
