//! The view: everything that a decision sees besides the ledger.

use std::time::Duration;

use jiff::Timestamp;

use crate::health::Verdict;
use crate::observation::{Observation, Outcome};

/// The time for which one observation of health can speak. What happened between two observations that are further apart,
/// nobody saw.
const MAX_OBSERVED_TIME: Duration = Duration::from_secs(5);

/// An observation and the time at which it was made.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub seen: &'a Observation,
    pub now: Timestamp,
}

impl<'a> View<'a> {
    /// How the last action ended.
    pub fn outcome(&self) -> Option<&'a Outcome> {
        self.seen.outcome.as_ref()
    }

    /// The health of the release under verification.
    pub fn verdict(&self) -> Option<&'a Verdict> {
        self.seen.verdict.as_ref()
    }

    /// Returns `spent` and the time since the last observation.
    pub fn spend(&self, spent: Duration) -> Duration {
        spent.saturating_add(self.seen.elapsed)
    }

    /// Returns `spent` and the part of the time since the last observation for which this one can speak.
    pub fn spend_observed(&self, spent: Duration) -> Duration {
        spent.saturating_add(self.seen.elapsed.min(MAX_OBSERVED_TIME))
    }

    /// Returns how long health was seen without a break, if it is seen now. The first observation of health speaks for no
    /// time before it.
    pub fn healthy_time(&self, healthy_for: Option<Duration>) -> Duration {
        healthy_for.map_or(Duration::ZERO, |healthy_for| self.spend_observed(healthy_for))
    }
}
