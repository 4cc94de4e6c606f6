//! The last report on an add-on, and when the next one is due. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::{Backoff, HUB};
use crate::reports::report::Report;

/// Least time between reports that differ in messages only. So a rollout with many messages costs the hub no more than
/// a quiet one.
const MESSAGE_PERIOD: Duration = Duration::from_secs(20);

/// The last report on one add-on that reached the hub.
#[derive(Debug)]
pub struct LastReport {
    published: Option<Published>,
    backoff: Backoff,
}

#[derive(Debug)]
struct Published {
    report: Report,
    /// Number of complete lists at that time. After a new list the report is compared with the hub again.
    complete_lists: u64,
    time: Instant,
}

impl Default for LastReport {
    fn default() -> Self {
        Self { published: None, backoff: Backoff::new(HUB) }
    }
}

impl LastReport {
    /// Returns the time at which `report` is due; `None` if the hub has it already.
    pub fn due(&self, report: &Report, complete_lists: u64, now: Instant) -> Option<Instant> {
        let published =
            self.published.as_ref().filter(|published| published.complete_lists == complete_lists);
        let due = match published {
            Some(published) if published.report == *report => return None,
            Some(published) if report.differs_in_message_only(&published.report) => {
                published.time + MESSAGE_PERIOD
            }
            Some(_) | None => now,
        };
        Some(self.backoff.next_attempt().map_or(due, |attempt| due.max(attempt)))
    }

    /// Records a report that reached the hub.
    pub fn record_success(&mut self, report: Report, complete_lists: u64, now: Instant) {
        self.published = Some(Published { report, complete_lists, time: now });
        self.backoff.reset();
    }

    /// Records a failed report and puts the next one off. `random` is in 0..1.
    pub fn record_failure(&mut self, now: Instant, random: f64) {
        self.backoff.record_failure(now, random);
    }

    /// Makes a report that was put off due at once.
    pub fn retry_now(&mut self) {
        self.backoff.retry_now();
    }

    /// Returns whether the last attempt failed.
    pub fn is_failing(&self) -> bool {
        self.backoff.is_failing()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::{followed, mca, status};
    use crate::reports::report;

    #[test]
    fn a_report_that_the_hub_has_is_not_due_again() {
        let now = Instant::now();
        let mut last = LastReport::default();
        assert_eq!(last.due(&report("Applying", "a"), 1, now), Some(now));
        last.record_success(report("Applying", "a"), 1, now);
        assert_eq!(last.due(&report("Applying", "a"), 1, now), None);
        assert_eq!(last.due(&report("Verifying", "a"), 1, now), Some(now));
        assert_eq!(last.due(&report("Applying", "a"), 2, now), Some(now), "a new list");
    }

    #[test]
    fn a_mere_change_of_the_message_waits() {
        let before = Instant::now();
        let mut last = LastReport::default();
        last.record_success(report("Verifying", "1 of 2 ready"), 1, before);
        let now = before + Duration::from_secs(3);
        let later = Some(before + MESSAGE_PERIOD);
        assert_eq!(last.due(&report("Verifying", "2 of 2 ready"), 1, now), later);
        assert_eq!(last.due(&report("Available", "2 of 2 ready"), 1, now), Some(now));
    }

    #[test]
    fn failures_put_the_next_report_off_until_the_hub_is_back() {
        let now = Instant::now();
        let mut last = LastReport::default();
        let delay = |last: &LastReport| {
            last.due(&report("Applying", "a"), 1, now).unwrap().duration_since(now).as_secs()
        };
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            last.record_failure(now, 1.0);
            assert_eq!(delay(&last), seconds);
        }
        last.retry_now();
        assert_eq!(delay(&last), 0);
        last.record_success(report("Applying", "a"), 2, now);
        last.record_failure(now, 1.0);
        assert_eq!(delay(&last), 1);
    }

    fn report(phase: &str, message: &str) -> Report {
        let mut add_on = followed("metrics", "u1");
        add_on.status = Some(status(json!({"phase": phase, "message": message})));
        report::report(&mca("metrics", "u1"), Some(&add_on), None).unwrap()
    }
}
