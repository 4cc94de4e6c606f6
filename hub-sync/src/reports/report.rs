//! The content of a report on one add-on. Pure: a function of the saved `ManagedAddOn`, never of a task's memory.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lifecycle::spec::version_range::is_older;
use lifecycle::{ManagedAddOn, ManagedAddOnStatus, OperationKind, OperationResult, Phase};
use semver::Version;

use crate::assignments::outcome::{AssignmentOutcome, Outcomes, Rejection};
use crate::channels::AddOns;
use crate::hub_state::HubState;
use crate::ocm::ManagedClusterAddOn;

/// Number of the newest operations that a report contains.
const HISTORY: usize = 2;

/// Everything that the hub gets about one add-on.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Name of the add-on.
    pub add_on: String,
    /// UID of the `ManagedClusterAddOn`.
    pub mca_uid: String,
    pub phase: Phase,
    /// The part of the status that is reported: from `phase` to `message`, and the newest history.
    pub status: ManagedAddOnStatus,
    /// Number of versions that became available on this cluster so far.
    pub transitions: i32,
    /// Whether hub-sync assigns the add-on.
    pub is_stand_alone: bool,
    /// The condition `Degraded` of the `ManagedAddOn`, if it is True.
    pub degraded: Option<Degraded>,
    /// Whether it reports an assignment for which no `ManagedAddOn` was written.
    pub is_rejection: bool,
}

/// Reason and message of a condition `Degraded` that is True.
#[derive(Clone, Debug, PartialEq)]
pub struct Degraded {
    pub reason: String,
    pub message: String,
}

/// Returns a report for each `ManagedClusterAddOn` about which something is known.
pub fn reports(
    hub_state: &HubState,
    add_ons: &AddOns,
    outcomes: &Outcomes,
) -> BTreeMap<String, Report> {
    let reports = hub_state.mcas.iter().filter_map(|(name, mca)| {
        let add_on = add_ons.get(name).map(AsRef::as_ref);
        Some((name.clone(), report(mca, add_on, outcomes.get(name))?))
    });
    reports.collect()
}

/// Returns the report on one add-on; `None` while neither a phase nor a rejection is known.
pub fn report(
    mca: &ManagedClusterAddOn,
    add_on: Option<&ManagedAddOn>,
    outcome: Option<&AssignmentOutcome>,
) -> Option<Report> {
    let saved = add_on.and_then(|add_on| add_on.status.clone()).unwrap_or_default();
    let transitions = saved.rollout.as_ref().and_then(|rollout| rollout["transitions"].as_i64());
    let degraded = degraded(&saved);
    let rejection = outcome.and_then(AssignmentOutcome::rejection);
    let status = match rejection {
        Some(rejection) => rejected(saved, rejection),
        None => saved,
    };
    Some(Report {
        add_on: mca.name().to_owned(),
        mca_uid: mca.uid().to_owned(),
        phase: status.phase?,
        status: trimmed(status),
        transitions: transitions.and_then(|count| i32::try_from(count).ok()).unwrap_or_default(),
        is_stand_alone: outcome.is_some_and(AssignmentOutcome::is_stand_alone),
        degraded,
        is_rejection: rejection.is_some(),
    })
}

fn degraded(saved: &ManagedAddOnStatus) -> Option<Degraded> {
    let condition = saved.conditions.iter().find(|condition| condition.type_ == "Degraded")?;
    (condition.status == "True")
        .then(|| Degraded { reason: condition.reason.clone(), message: condition.message.clone() })
}

/// The status of a `ManagedAddOn` that was rejected before the first write.
fn rejected(saved: ManagedAddOnStatus, rejection: &Rejection) -> ManagedAddOnStatus {
    let since = Some(rejection.since.into());
    let (current, desired) = (saved.current_version.as_deref(), rejection.version.as_deref());
    ManagedAddOnStatus {
        phase: Some(Phase::Rejected),
        operation: Some(rejected_operation(current, desired)),
        result: Some(OperationResult::Failed),
        desired_version: rejection.version.clone(),
        started_time: since.clone(),
        completion_time: since,
        reason: Some(rejection.fault.reason.name().to_owned()),
        message: Some(rejection.fault.message.clone()),
        ..saved
    }
}

fn rejected_operation(current: Option<&str>, desired: Option<&str>) -> OperationKind {
    let parse = |version: &str| Version::parse(version).ok();
    let Some(current) = current else { return OperationKind::Install };
    match (parse(current), desired.and_then(parse)) {
        (Some(current), Some(desired)) if is_older(&desired, &current) => OperationKind::Rollback,
        _ => OperationKind::Upgrade,
    }
}

/// The reported part alone, so that a change of anything else causes no report.
fn trimmed(status: ManagedAddOnStatus) -> ManagedAddOnStatus {
    ManagedAddOnStatus {
        observed_generation: None,
        conditions: Vec::new(),
        history: status.history.into_iter().take(HISTORY).collect(),
        rollout: None,
        ..status
    }
}

impl Report {
    /// Returns the time of the newest change on the cluster.
    pub fn changed_at(&self) -> Option<Timestamp> {
        let completed = self.status.completion_time.as_ref();
        completed.or(self.status.started_time.as_ref()).map(|time| time.0)
    }

    /// Returns whether only messages differ, which are for people.
    pub fn differs_in_message_only(&self, other: &Report) -> bool {
        let without_messages = |report: &Report| {
            let mut report = report.clone();
            report.status.message = None;
            report.degraded.iter_mut().for_each(|degraded| degraded.message.clear());
            report
        };
        self.status.message != other.status.message
            && without_messages(self) == without_messages(other)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::{followed, mca, rejection, status, upgraded};

    #[test]
    fn a_change_of_what_is_not_reported_makes_no_difference() {
        let mut later = upgraded();
        later["observedGeneration"] = json!(9);
        later["rollout"]["spent"] = json!(1);
        later["history"].as_array_mut().unwrap().pop();
        assert_eq!(report_on(upgraded(), None), report_on(later.clone(), None));
        later["message"] = json!("another message");
        let (before, after) =
            (report_on(upgraded(), None).unwrap(), report_on(later.clone(), None).unwrap());
        assert!(before.differs_in_message_only(&after));
        later["phase"] = json!("Verifying");
        assert!(!before.differs_in_message_only(&report_on(later, None).unwrap()));
        assert!(!before.differs_in_message_only(&before));
    }

    #[test]
    fn there_is_no_report_before_something_is_known() {
        assert_eq!(report_on(json!({}), None), None);
        assert_eq!(report(&mca("metrics", "u1"), None, Some(&AssignmentOutcome::Assigned)), None);
    }

    #[test]
    fn a_rejection_is_reported_while_the_current_version_runs() {
        let report = report_on(upgraded(), Some(&rejection("1.4.0"))).unwrap();
        let status = serde_json::to_value(&report.status).unwrap();
        assert_eq!(
            [&status["phase"], &status["operation"], &status["result"], &status["reason"]],
            ["Rejected", "Rollback", "Failed", "UnknownTemplate"]
        );
        assert_eq!([&status["currentVersion"], &status["desiredVersion"]], ["1.5.0", "1.4.0"]);
        assert_eq!(status["startedTime"], "2026-01-03T00:00:00Z");
        assert_eq!((report.transitions, report.is_stand_alone), (2, true));
    }

    #[test]
    fn a_rejection_without_a_current_version_is_a_failed_install() {
        let report = report(&mca("metrics", "u1"), None, Some(&rejection("1.4.0"))).unwrap();
        assert_eq!(report.phase, Phase::Rejected);
        assert_eq!(report.status.operation, Some(OperationKind::Install));
        assert_eq!(report.status.current_version, None);
    }

    #[test]
    fn an_add_on_of_a_fleet_or_without_an_outcome_is_not_stand_alone() {
        let is_stand_alone = |outcome| report_on(upgraded(), outcome).unwrap().is_stand_alone;
        assert!(is_stand_alone(Some(&AssignmentOutcome::Assigned)));
        assert!(!is_stand_alone(Some(&AssignmentOutcome::Fleet)));
        assert!(!is_stand_alone(None));
    }

    fn report_on(saved: Value, outcome: Option<&AssignmentOutcome>) -> Option<Report> {
        let mut add_on = followed("metrics", "u1");
        add_on.status = Some(status(saved));
        report(&mca("metrics", "u1"), Some(&add_on), outcome)
    }
}
