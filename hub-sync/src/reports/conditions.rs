//! The conditions of a `ManagedClusterAddOn` that are ours, and how they come among those of others. Pure.

use lifecycle::{ManagedAddOnStatus, OperationKind, Phase};
use serde_json::{Value, json};

use crate::reports::report::{Degraded, Report};

/// Domain-prefixed, so that no OCM controller ever writes them.
const CURRENT: &str = "lifecycle.open-cluster-management.io/CurrentVersion";
const DESIRED: &str = "lifecycle.open-cluster-management.io/DesiredVersion";
const ROLLOUT: &str = "lifecycle.open-cluster-management.io/Rollout";
/// Nobody in OCM writes this one, and it is a column of `kubectl get managedclusteraddons`.
const DEGRADED: &str = "Degraded";
/// OCM's own in a fleet; nobody's when stand-alone.
const PROGRESSING: &str = "Progressing";

#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    kind: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

/// What there is to say of an add-on.
pub fn of(report: &Report) -> Vec<Condition> {
    let status = &report.status;
    let mut conditions = vec![
        version(CURRENT, status.current_version.as_deref()),
        version(DESIRED, status.desired_version.as_deref()),
        rollout(report),
        degraded(report),
    ];
    conditions.extend(report.stand_alone.then(|| progressing(report)));
    conditions
}

/// The whole list as it should be; `None` when it is so already. `time` is when the newest change happened.
pub fn merged(existing: &[Value], ours: &[Condition], time: &str) -> Option<Vec<Value>> {
    let mut list = existing.to_vec();
    for condition in ours {
        match list.iter_mut().find(|it| it["type"] == condition.kind) {
            Some(old) if condition.is_told_by(old) => {}
            Some(old) => *old = condition.after(old, time),
            None => list.push(condition.since(time)),
        }
    }
    (list != existing).then_some(list)
}

fn version(kind: &'static str, version: Option<&str>) -> Condition {
    match version {
        Some(version) => Condition::new(kind, true, "VersionKnown", version.to_owned()),
        None => Condition {
            kind,
            status: "Unknown",
            reason: "NoVersion".to_owned(),
            message: "none".to_owned(),
        },
    }
}

fn rollout(report: &Report) -> Condition {
    let status = &report.status;
    let there =
        report.phase == Phase::Available && status.current_version == status.desired_version;
    Condition::new(ROLLOUT, there, report.phase.name(), course(report))
}

/// From where to where, when, and what is to be said about it.
fn course(report: &Report) -> String {
    let status = &report.status;
    let operation = status.operation.map_or("Nothing", OperationKind::name);
    let (from, to) = route(report.phase, status);
    let mut course = operation.to_owned();
    let parts = [("from", from.map(str::to_owned)), ("to", to.map(str::to_owned))];
    let times = [("started", &status.started_time), ("completed", &status.completion_time)];
    let times = times.map(|(word, time)| (word, time.as_ref().map(|time| time.0.to_string())));
    for (word, value) in parts.into_iter().chain(times) {
        course.extend(value.map(|value| format!(" {word} {value}")));
    }
    course.extend(status.message.iter().map(|message| format!(": {message}")));
    course
}

fn route(phase: Phase, status: &ManagedAddOnStatus) -> (Option<&str>, Option<&str>) {
    let (current, desired) = (status.current_version.as_deref(), status.desired_version.as_deref());
    match phase {
        Phase::Available if status.operation == Some(OperationKind::Install) => (None, current),
        Phase::Available => (status.previous_version.as_deref(), current),
        Phase::RollingBack | Phase::RolledBack => (left(status), current),
        Phase::Removing => (current, None),
        Phase::Pending
        | Phase::Waiting
        | Phase::Pulling
        | Phase::Staging
        | Phase::Checking
        | Phase::Applying
        | Phase::Verifying
        | Phase::Pruning
        | Phase::Rejected
        | Phase::Failed => (current, desired),
    }
}

/// The version that is gone back from: no longer desired where the assignment itself went back.
fn left(status: &ManagedAddOnStatus) -> Option<&str> {
    let current = status.current_version.as_deref();
    let mut tried = status.history.iter().map(|entry| entry.version.as_deref());
    let desired = status.desired_version.as_deref().filter(|desired| Some(*desired) != current);
    desired.or_else(|| tried.find(|version| *version != current).flatten())
}

fn degraded(report: &Report) -> Condition {
    match &report.degraded {
        Some(Degraded { reason, message }) => {
            Condition::new(DEGRADED, true, reason, message.clone())
        }
        None => Condition::new(DEGRADED, false, report.phase.name(), String::new()),
    }
}

/// In OCM's own words, since its clients read this one.
fn progressing(report: &Report) -> Condition {
    let reason = match report.phase {
        Phase::Available => "Completed",
        Phase::Rejected | Phase::RolledBack | Phase::Failed => "Failed",
        Phase::Pending
        | Phase::Waiting
        | Phase::Pulling
        | Phase::Staging
        | Phase::Checking
        | Phase::Applying
        | Phase::Verifying
        | Phase::Pruning
        | Phase::RollingBack
        | Phase::Removing => "Progressing",
    };
    Condition::new(PROGRESSING, !report.phase.is_settled(), reason, course(report))
}

impl Condition {
    fn new(kind: &'static str, status: bool, reason: &str, message: String) -> Self {
        let status = if status { "True" } else { "False" };
        Self { kind, status, reason: reason.to_owned(), message }
    }

    fn is_told_by(&self, old: &Value) -> bool {
        old["status"] == self.status
            && old["reason"] == self.reason
            && old["message"] == self.message
    }

    /// The time stays while the status does.
    fn after(&self, old: &Value, time: &str) -> Value {
        match old["lastTransitionTime"].as_str() {
            Some(since) if old["status"] == self.status => self.since(since),
            Some(_) | None => self.since(time),
        }
    }

    fn since(&self, time: &str) -> Value {
        json!({
            "type": self.kind,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "lastTransitionTime": time,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assignments::outcome::Standing;
    use crate::fixtures::{followed, mca, status};
    use crate::reports::report;

    const NOW: &str = "2026-01-01T10:01:00Z";

    #[test]
    fn an_upgrade_that_is_there() {
        check(
            json!({
                "phase": "Available", "operation": "Upgrade", "result": "Succeeded",
                "currentVersion": "1.5.0", "desiredVersion": "1.5.0", "previousVersion": "1.4.0",
                "startedTime": "2026-01-01T10:00:00Z", "completionTime": "2026-01-01T10:01:00Z",
                "reason": "UpgradeSucceeded",
            }),
            &[
                "CurrentVersion True VersionKnown: 1.5.0",
                "DesiredVersion True VersionKnown: 1.5.0",
                "Rollout True Available: Upgrade from 1.4.0 to 1.5.0 started 2026-01-01T10:00:00Z completed 2026-01-01T10:01:00Z",
                "Degraded False Available: ",
                "Progressing False Completed: Upgrade from 1.4.0 to 1.5.0 started 2026-01-01T10:00:00Z completed 2026-01-01T10:01:00Z",
            ],
        );
    }

    #[test]
    fn a_first_install_under_way() {
        check(
            json!({
                "phase": "Verifying", "operation": "Install", "result": "InProgress",
                "desiredVersion": "1.4.0", "startedTime": "2026-01-01T10:00:00Z",
                "reason": "Progressing", "message": "1 of 2 ready",
            }),
            &[
                "CurrentVersion Unknown NoVersion: none",
                "DesiredVersion True VersionKnown: 1.4.0",
                "Rollout False Verifying: Install to 1.4.0 started 2026-01-01T10:00:00Z: 1 of 2 ready",
                "Degraded False Verifying: ",
                "Progressing True Progressing: Install to 1.4.0 started 2026-01-01T10:00:00Z: 1 of 2 ready",
            ],
        );
    }

    #[test]
    fn a_rollback_by_the_agent() {
        let told = json!({
            "phase": "RolledBack", "operation": "Rollback", "result": "Succeeded",
            "currentVersion": "1.5.0", "desiredVersion": "1.6.0", "previousVersion": "1.4.0",
            "startedTime": "2026-01-01T10:00:00Z", "completionTime": "2026-01-01T10:01:00Z",
            "reason": "Unhealthy", "message": "Deployment metrics failed",
            "conditions": [degraded("True")],
        });
        check(
            told,
            &[
                "CurrentVersion True VersionKnown: 1.5.0",
                "DesiredVersion True VersionKnown: 1.6.0",
                "Rollout False RolledBack: Rollback from 1.6.0 to 1.5.0 started 2026-01-01T10:00:00Z completed 2026-01-01T10:01:00Z: Deployment metrics failed",
                "Degraded True Unhealthy: Deployment metrics failed",
                "Progressing False Failed: Rollback from 1.6.0 to 1.5.0 started 2026-01-01T10:00:00Z completed 2026-01-01T10:01:00Z: Deployment metrics failed",
            ],
        );
    }

    #[test]
    fn going_back_because_it_was_asked_comes_from_what_was_tried() {
        let told = json!({
            "phase": "RollingBack", "operation": "Rollback", "result": "InProgress",
            "currentVersion": "1.4.0", "desiredVersion": "1.4.0", "conditions": [degraded("False")],
            "history": [{
                "sequence": 2, "version": "1.5.0", "operation": "Upgrade", "result": "Failed",
                "startedTime": NOW, "reason": "Superseded", "verified": true,
            }],
        });
        let lines = lines(told);
        assert_eq!(lines[2], "Rollout False RollingBack: Rollback from 1.5.0 to 1.4.0");
        assert_eq!(lines[3], "Degraded False RollingBack: ");
    }

    #[test]
    fn progressing_in_every_phase() {
        let table = [
            ("Pending", "True Progressing"),
            ("Waiting", "True Progressing"),
            ("Pulling", "True Progressing"),
            ("Staging", "True Progressing"),
            ("Checking", "True Progressing"),
            ("Applying", "True Progressing"),
            ("Verifying", "True Progressing"),
            ("Pruning", "True Progressing"),
            ("Available", "False Completed"),
            ("Rejected", "False Failed"),
            ("RollingBack", "True Progressing"),
            ("RolledBack", "False Failed"),
            ("Failed", "False Failed"),
            ("Removing", "True Progressing"),
        ];
        let phases: Vec<&str> = Phase::ALL.iter().map(|phase| phase.name()).collect();
        assert_eq!(table.map(|row| row.0).as_slice(), phases);
        for (phase, progressing) in table {
            let lines = lines(json!({"phase": phase}));
            assert_eq!(lines[4], format!("Progressing {progressing}: Nothing"));
        }
    }

    #[test]
    fn in_a_fleet_progressing_is_left_to_ocm() {
        let told = conditions(json!({"phase": "Available"}), &Standing::Fleet);
        assert!(told.iter().all(|condition| condition.kind != PROGRESSING));
        assert!(told.iter().all(|condition| condition.kind != "Available"));
    }

    #[test]
    fn others_conditions_survive_in_their_places() {
        let theirs = [
            json!({"type": "Available", "status": "True", "more": 1}),
            json!({"type": "Degraded", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}),
            json!({"type": "Custom"}),
        ];
        let list = merged(&theirs, &available(), NOW).unwrap();
        assert_eq!((&list[0], &list[2]), (&theirs[0], &theirs[2]));
        assert_eq!(
            (&list[1]["status"], &list[1]["lastTransitionTime"]),
            (&json!("False"), &json!(NOW))
        );
        assert_eq!(list.len(), 3 + 4);
    }

    #[test]
    fn what_is_told_already_is_not_written() {
        let list = merged(&[], &available(), NOW).unwrap();
        assert_eq!(merged(&list, &available(), "2027-01-01T00:00:00Z"), None);
    }

    #[test]
    fn the_transition_time_changes_with_the_status_only() {
        let list = merged(&[], &available(), NOW).unwrap();
        let later = "2027-01-01T00:00:00Z";
        let next = conditions(
            json!({"phase": "Verifying", "desiredVersion": "2.0.0"}),
            &Standing::Assigned,
        );
        let list = merged(&list, &next, later).unwrap();
        let times = list
            .iter()
            .map(|it| (it["type"].as_str().unwrap(), it["lastTransitionTime"].as_str().unwrap()));
        let changed: Vec<_> =
            times.filter(|(_, time)| *time == later).map(|(kind, _)| kind).collect();
        assert_eq!(changed, [CURRENT, ROLLOUT, PROGRESSING]);
    }

    fn degraded(status: &str) -> Value {
        json!({
            "type": "Degraded", "status": status, "reason": "Unhealthy",
            "message": "Deployment metrics failed", "lastTransitionTime": NOW,
        })
    }

    fn available() -> Vec<Condition> {
        let told =
            json!({"phase": "Available", "currentVersion": "1.5.0", "desiredVersion": "1.5.0"});
        conditions(told, &Standing::Assigned)
    }

    fn check(told: Value, expected: &[&str]) {
        assert_eq!(lines(told), expected);
    }

    fn lines(told: Value) -> Vec<String> {
        let conditions = conditions(told, &Standing::Assigned);
        let line = |it: &Condition| {
            let kind = it.kind.rsplit('/').next().unwrap();
            format!("{kind} {} {}: {}", it.status, it.reason, it.message)
        };
        conditions.iter().map(line).collect()
    }

    fn conditions(told: Value, standing: &Standing) -> Vec<Condition> {
        let mut add_on = followed("metrics", "u1");
        add_on.status = Some(status(told));
        of(&report::report(&mca("metrics", "u1"), Some(&add_on), Some(standing)).unwrap())
    }
}
