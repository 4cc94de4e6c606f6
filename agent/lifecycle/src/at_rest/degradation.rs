//! Whether the release at rest is well.

use std::time::Duration;

use super::saved;
use crate::api::ManagedAddOnStatus;
use crate::health::Verdict;
use crate::reason::Reason;

/// What is told of what is not well is told anew, in other words, after this long.
const STALE: Duration = Duration::from_secs(10 * 60);

/// What is told, and for how long something else has been seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Degradation {
    unwell: Option<String>,
    /// Since it was told.
    told_for: Duration,
    /// For how long the opposite of what is told has been seen at each look.
    doubted: Option<Duration>,
}

impl Degradation {
    /// What an agent told that ran before this one.
    pub fn told_before(status: &ManagedAddOnStatus) -> Self {
        let ours = saved(status, "Degraded").filter(|condition| {
            condition.status == "True" && condition.reason == Reason::RunningUnhealthy.name()
        });
        Self { unwell: ours.map(|condition| condition.message.clone()), ..Self::default() }
    }

    /// What is not well, if that is told.
    pub fn unwell(&self) -> Option<&str> {
        self.unwell.as_deref()
    }

    /// One look. `elapsed` is the time since the look before for which both can vouch. The opposite of what is told is
    /// told once every look saw it for the time of `grace`.
    pub fn see(self, verdict: &Verdict, elapsed: Duration, grace: Duration) -> Self {
        let told_for = self.told_for.saturating_add(elapsed);
        let seen = match verdict {
            // At rest no hook is asked.
            Verdict::Healthy | Verdict::HealthyBut(_) | Verdict::AwaitingHooks { .. } => None,
            Verdict::InProgress(what) | Verdict::Failed(what) => Some(what.clone()),
        };
        if seen.is_some() != self.unwell.is_some() {
            let doubted =
                self.doubted.map_or(Duration::ZERO, |so_far| so_far.saturating_add(elapsed));
            if doubted >= grace {
                return Self { unwell: seen, ..Self::default() };
            }
            return Self { told_for, doubted: Some(doubted), ..self };
        }
        if seen != self.unwell && told_for >= STALE {
            return Self { unwell: seen, ..Self::default() };
        }
        Self { told_for, doubted: None, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(120);

    #[test]
    fn only_what_lasts_is_told() {
        let table = [
            ("healthy", "++++++", "------"),
            ("for the grace", "xxxx", "--xx"),
            ("a short while", "x+xx+xx+", "--------"),
            ("every other look", "x+x+x+x+", "--------"),
            ("and well again for the grace", "xxx+++++", "--xxx---"),
            ("well for a short while", "xxx++xx++x", "--xxxxxxxx"),
        ];
        for (why, looks, told) in table {
            assert_eq!(see(looks, Duration::from_secs(60)), told, "{why}");
        }
    }

    #[test]
    fn looks_that_vouch_for_little_time_need_more_of_them() {
        assert_eq!(see("xxxxxx", Duration::from_secs(30)), "----xx");
        assert_eq!(see("xxx", Duration::ZERO), "---");
    }

    #[test]
    fn other_words_for_it_are_told_after_ten_minutes() {
        let minute = Duration::from_secs(60);
        let mut wellness = Degradation::default();
        for n in 0..4 {
            wellness = wellness.see(&Verdict::InProgress(format!("pod {n}")), minute, GRACE);
        }
        assert_eq!(wellness.unwell(), Some("pod 2"));
        for _ in 0..9 {
            wellness = wellness.see(&Verdict::Failed("another".to_owned()), minute, GRACE);
        }
        assert_eq!(wellness.unwell(), Some("another"));
    }

    #[test]
    fn what_was_told_is_told_on_after_a_restart() {
        let condition = |reason: &str| {
            serde_json::json!({"conditions": [{
                "type": "Degraded", "status": "True", "reason": reason, "message": "a pod",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]})
        };
        let told = |reason| {
            let status = serde_json::from_value(condition(reason)).expect("a status");
            Degradation::told_before(&status).unwell().map(str::to_owned)
        };
        assert_eq!(told("RunningUnhealthy").as_deref(), Some("a pod"));
        assert_eq!(told("Unhealthy"), None, "that is why it was gone back");
    }

    /// `+` healthy, `x` not; what is told after each look.
    fn see(looks: &str, between: Duration) -> String {
        let mut wellness = Degradation::default();
        let told = looks.chars().map(|look| {
            let verdict = match look {
                '+' => Verdict::Healthy,
                _ => Verdict::InProgress("a pod".to_owned()),
            };
            wellness = std::mem::take(&mut wellness).see(&verdict, between, GRACE);
            if wellness.unwell().is_some() { 'x' } else { '-' }
        });
        told.collect()
    }
}
