//! The conditions that hub-sync writes on a `ManagedClusterAddOn`. Pure.

use lifecycle::Phase;
use lifecycle::names::hub_condition::{CURRENT_VERSION, DESIRED_VERSION, ROLLOUT};

use crate::reports::condition_list::Condition;
use crate::reports::report::{Degraded, Report};
use crate::reports::rollout_message::rollout_message;

/// No OCM controller writes this one, and it is a column of `kubectl get managedclusteraddons`.
const DEGRADED: &str = "Degraded";
/// In a fleet OCM writes it; stand-alone nobody else does.
const PROGRESSING: &str = "Progressing";

/// Returns the conditions of a report.
pub fn conditions(report: &Report) -> Vec<Condition> {
    let status = &report.status;
    let mut conditions = vec![
        version(CURRENT_VERSION, status.current_version.as_deref()),
        version(DESIRED_VERSION, status.desired_version.as_deref()),
        rollout(report),
        degraded(report),
    ];
    conditions.extend(report.is_stand_alone.then(|| progressing(report)));
    conditions
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

/// True while the assigned version is available.
fn rollout(report: &Report) -> Condition {
    let status = &report.status;
    let is_complete =
        report.phase == Phase::Available && status.current_version == status.desired_version;
    let message = rollout_message(report.phase, status);
    Condition::new(ROLLOUT, is_complete, report.phase.name(), message)
}

fn degraded(report: &Report) -> Condition {
    match &report.degraded {
        Some(Degraded { reason, message }) => {
            Condition::new(DEGRADED, true, reason, message.clone())
        }
        None => Condition::new(DEGRADED, false, report.phase.name(), String::new()),
    }
}

/// With OCM's own reasons, since its clients read this one.
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
    let message = rollout_message(report.phase, &report.status);
    Condition::new(PROGRESSING, !report.phase.is_settled(), reason, message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::assignments::outcome::AssignmentOutcome;
    use crate::fixtures::{followed, mca, status};
    use crate::reports::report::report;

    const NOW: &str = "2026-01-01T10:01:00Z";

    #[test]
    fn a_completed_upgrade() {
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
    fn a_first_install_in_progress() {
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
    fn an_automatic_rollback() {
        let saved = json!({
            "phase": "RolledBack", "operation": "Rollback", "result": "Succeeded",
            "currentVersion": "1.5.0", "desiredVersion": "1.6.0", "previousVersion": "1.4.0",
            "startedTime": "2026-01-01T10:00:00Z", "completionTime": "2026-01-01T10:01:00Z",
            "reason": "Unhealthy", "message": "Deployment metrics failed",
            "conditions": [degraded("True")],
        });
        check(
            saved,
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
    fn a_requested_rollback_leaves_the_version_that_was_attempted_last() {
        let saved = json!({
            "phase": "RollingBack", "operation": "Rollback", "result": "InProgress",
            "currentVersion": "1.4.0", "desiredVersion": "1.4.0", "conditions": [degraded("False")],
            "history": [{
                "sequence": 2, "version": "1.5.0", "operation": "Upgrade", "result": "Failed",
                "startedTime": NOW, "reason": "Superseded", "verified": true,
            }],
        });
        let lines = lines(saved);
        assert_eq!(lines[2], "Rollout False RollingBack: Rollback from 1.5.0 to 1.4.0");
        assert_eq!(lines[3], "Degraded False RollingBack: ");
    }

    #[test]
    fn progressing_has_a_status_and_reason_in_every_phase() {
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
    fn in_a_fleet_ocm_writes_progressing() {
        let conditions = conditions_of(json!({"phase": "Available"}), &AssignmentOutcome::Fleet);
        assert!(conditions.iter().all(|condition| condition.kind != PROGRESSING));
        assert!(conditions.iter().all(|condition| condition.kind != "Available"));
    }

    #[test]
    fn versions_rollout_and_progress_change_their_status_during_an_upgrade() {
        let status_of = |saved: Value| -> Vec<_> {
            let conditions = conditions_of(saved, &AssignmentOutcome::Assigned);
            conditions.iter().map(|it| (it.kind, it.status)).collect()
        };
        let before = status_of(
            json!({"phase": "Available", "currentVersion": "1.5.0", "desiredVersion": "1.5.0"}),
        );
        let after = status_of(json!({"phase": "Verifying", "desiredVersion": "2.0.0"}));
        let changed = before.iter().zip(&after).filter(|(old, new)| old != new);
        let changed: Vec<_> = changed.map(|(old, _)| old.0).collect();
        assert_eq!(changed, [CURRENT_VERSION, ROLLOUT, PROGRESSING]);
    }

    #[test]
    fn the_docs_list_exactly_these_conditions() {
        let page = include_str!("../../../docs/ocm.md");
        let table = page.split_once("| condition |").unwrap().1.split("\n\n").next().unwrap();
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let documented: Vec<_> =
            rows.map(|kind| kind.replace('…', lifecycle::names::GROUP)).collect();
        let conditions = conditions_of(json!({"phase": "Available"}), &AssignmentOutcome::Assigned);
        let kinds: Vec<_> = conditions.iter().map(|condition| condition.kind).collect();
        assert_eq!(documented, kinds);
    }

    fn degraded(status: &str) -> Value {
        json!({
            "type": "Degraded", "status": status, "reason": "Unhealthy",
            "message": "Deployment metrics failed", "lastTransitionTime": NOW,
        })
    }

    fn check(saved: Value, expected: &[&str]) {
        assert_eq!(lines(saved), expected);
    }

    fn lines(saved: Value) -> Vec<String> {
        let conditions = conditions_of(saved, &AssignmentOutcome::Assigned);
        let line = |it: &Condition| {
            let kind = it.kind.rsplit('/').next().unwrap();
            format!("{kind} {} {}: {}", it.status, it.reason, it.message)
        };
        conditions.iter().map(line).collect()
    }

    fn conditions_of(saved: Value, outcome: &AssignmentOutcome) -> Vec<Condition> {
        let mut add_on = followed("metrics", "u1");
        add_on.status = Some(status(saved));
        conditions(&report(&mca("metrics", "u1"), Some(&add_on), Some(outcome)).unwrap())
    }
}
