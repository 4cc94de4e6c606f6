//! Degradation: the release at rest is unhealthy.

use std::time::Duration;

use crate::api::ManagedAddOnStatus;
use crate::health::Verdict;
use crate::reason::Reason;

/// Minimum time before a reported problem is reported again with a new message.
const MIN_REPORT_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// The reported problem of the release at rest, and for how long the opposite has been observed. The default reports none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Degradation {
    problem: Option<String>,
    /// Time since the report.
    report_age: Duration,
    /// For how long every evaluation has contradicted the report.
    contradicted: Option<Duration>,
}

impl Degradation {
    /// Continues from the condition `Degraded` in a saved status, after a restart. Only the reason `RunningUnhealthy` is a
    /// degradation: with any other, a rollout failed.
    pub fn from_status(status: &ManagedAddOnStatus) -> Self {
        let degraded = status.condition("Degraded").filter(|condition| {
            condition.status == "True" && condition.reason == Reason::RunningUnhealthy.name()
        });
        Self { problem: degraded.map(|condition| condition.message.clone()), ..Self::default() }
    }

    /// The reported problem. None while the release is reported as healthy.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Records one evaluation. `elapsed` is the time since the previous one for which both speak. A problem, or its end, is
    /// reported once every evaluation observed it for `grace`.
    pub fn record(self, verdict: &Verdict, elapsed: Duration, grace: Duration) -> Self {
        let report_age = self.report_age.saturating_add(elapsed);
        let observed = observed_problem(verdict);
        if observed.is_some() != self.problem.is_some() {
            let contradicted =
                self.contradicted.map_or(Duration::ZERO, |time| time.saturating_add(elapsed));
            if contradicted >= grace {
                return Self { problem: observed, ..Self::default() };
            }
            return Self { report_age, contradicted: Some(contradicted), ..self };
        }
        if observed != self.problem && report_age >= MIN_REPORT_INTERVAL {
            return Self { problem: observed, ..Self::default() };
        }
        Self { report_age, contradicted: None, ..self }
    }
}

fn observed_problem(verdict: &Verdict) -> Option<String> {
    match verdict {
        // Hooks are not evaluated at rest.
        Verdict::Healthy | Verdict::Tolerated(_) | Verdict::AwaitingHooks { .. } => None,
        Verdict::InProgress(message)
        | Verdict::Missing { message, .. }
        | Verdict::Failed(message) => Some(message.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(120);

    #[test]
    fn only_a_lasting_problem_is_reported() {
        let table = [
            ("healthy", "++++++", "------"),
            ("for the grace period", "xxxx", "--xx"),
            ("a short while", "x+xx+xx+", "--------"),
            ("at every other evaluation", "x+x+x+x+", "--------"),
            ("and healthy again for the grace period", "xxx+++++", "--xxx---"),
            ("healthy for a short while", "xxx++xx++x", "--xxxxxxxx"),
        ];
        for (case, evaluations, expected) in table {
            let reports = record(evaluations, Duration::from_secs(60));
            assert_eq!(reports, expected, "{case}");
        }
    }

    #[test]
    fn evaluations_that_speak_for_little_time_need_more_of_them() {
        assert_eq!(record("xxxxxx", Duration::from_secs(30)), "----xx");
        assert_eq!(record("xxx", Duration::ZERO), "---");
    }

    #[test]
    fn another_problem_is_reported_after_ten_minutes() {
        let minute = Duration::from_secs(60);
        let mut degradation = Degradation::default();
        for n in 0..4 {
            degradation =
                degradation.record(&Verdict::InProgress(format!("pod {n}")), minute, GRACE);
        }
        assert_eq!(degradation.problem(), Some("pod 2"));
        for _ in 0..9 {
            degradation = degradation.record(&Verdict::Failed("another".to_owned()), minute, GRACE);
        }
        assert_eq!(degradation.problem(), Some("another"));
    }

    #[test]
    fn a_report_continues_after_a_restart() {
        let condition = |reason: &str| {
            serde_json::json!({"conditions": [{
                "type": "Degraded", "status": "True", "reason": reason, "message": "a pod",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]})
        };
        let problem = |reason| {
            let status = serde_json::from_value(condition(reason)).expect("a status");
            Degradation::from_status(&status).problem().map(str::to_owned)
        };
        assert_eq!(problem("RunningUnhealthy").as_deref(), Some("a pod"));
        assert_eq!(problem("Unhealthy"), None, "the reason of a rollback");
    }

    /// Records healthy (`+`) and unhealthy (`x`) evaluations; returns `x` where a problem is reported after one.
    fn record(evaluations: &str, interval: Duration) -> String {
        let mut degradation = Degradation::default();
        let reports = evaluations.chars().map(|evaluation| {
            let verdict = match evaluation {
                '+' => Verdict::Healthy,
                _ => Verdict::InProgress("a pod".to_owned()),
            };
            degradation = std::mem::take(&mut degradation).record(&verdict, interval, GRACE);
            if degradation.problem().is_some() { 'x' } else { '-' }
        });
        reports.collect()
    }
}
