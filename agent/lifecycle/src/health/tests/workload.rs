//! Deployments, ReplicaSets, StatefulSets.

use super::*;

fn deployment() -> Value {
    let counts = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2});
    object("apps/v1", "Deployment", json!({"replicas": 2}), counts)
}

fn late() -> Value {
    json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late", "lastUpdateTime": "2026-01-01T12:00:00Z"}])
}

#[test]
fn a_deployment_is_current_when_all_replicas_are_updated_ready_and_available() {
    let done = deployment();
    let status = |name, value| with(&done, ["status", name], value);
    let progressing = |reason: &str| json!([{"type": "Progressing", "status": "True", "reason": reason}, {"type": "Available", "status": "True"}]);
    for (case, object, wanted) in [
        ("depOK", status("conditions", progressing("NewReplicaSetAvailable")), Current),
        ("depNoProgressDeadlineSeconds", done.clone(), Current),
        ("paused", status("conditions", progressing("DeploymentPaused")), Current),
        ("depNoStatus", object("apps/v1", "Deployment", json!({}), json!({})), InProgress),
        ("not observed", status("observedGeneration", json!(1)), InProgress),
        ("one is of the old template", status("updatedReplicas", json!(1)), InProgress),
        ("one is not ready", status("readyReplicas", json!(1)), InProgress),
        ("none is available", status("availableReplicas", json!(0)), InProgress),
        ("an old one is left", status("replicas", json!(3)), InProgress),
        (
            "depNotAvailable",
            status("conditions", condition("Available", "False")["conditions"].clone()),
            InProgress,
        ),
        ("too late", status("conditions", late()), Failed),
        ("none are desired and two exist", with(&done, ["spec", "replicas"], json!(0)), InProgress),
    ] {
        check(case, &object, wanted);
    }
    let none = |status| object("apps/v1", "Deployment", json!({"replicas": 0}), status);
    check("none are desired and none exists", &none(json!({"observedGeneration": 2})), Current);
    check("none are desired, and the controller has not seen it", &none(json!({})), InProgress);
}

#[test]
fn a_replication_controller_is_assessed_as_a_replica_set() {
    let with_ready = |ready: i64| {
        let counts = json!({"replicas": 1, "fullyLabeledReplicas": 1, "readyReplicas": ready, "availableReplicas": ready});
        object("v1", "ReplicationController", json!({"replicas": 1}), counts)
    };
    check("its pod is not ready", &with_ready(0), InProgress);
    check("its pod is ready", &with_ready(1), Current);
    let new = object("v1", "ReplicationController", json!({"replicas": 0}), json!({}));
    check("the controller has not seen it", &new, InProgress);
}

#[test]
fn a_progress_deadline_exceeded_before_the_apply_does_not_count() {
    let mut short = with(&deployment(), ["status", "conditions"], late());
    short["status"]["readyReplicas"] = json!(1);
    let context = |now, since_apply| HealthContext {
        now: time(now),
        since_apply,
        ..HealthContext::default()
    };
    for (case, context, wanted) in [
        ("the clock is not known", after(MINUTE), Failed),
        ("exceeded since the apply", context("2026-01-01T12:00:59Z", MINUTE), Failed),
        ("exceeded before the apply", context("2026-01-01T12:01:01Z", MINUTE), InProgress),
        ("the clock went back", context("2026-01-01T11:00:00Z", MINUTE), Failed),
    ] {
        check_with(case, &short, wanted, &context);
    }
}

#[test]
fn refused_pods_are_reported_and_fail_the_workload_after_the_grace_period() {
    let refused = json!([{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: q", "lastTransitionTime": "2026-01-01T12:00:00Z"}]);
    for kind in ["Deployment", "ReplicaSet"] {
        let short = object("apps/v1", kind, json!({}), json!({"conditions": refused}));
        let message = check(kind, &short, InProgress).message;
        assert!(message.starts_with("0 of 1 replicas"), "{message}");
        assert!(message.ends_with("(exceeded quota: q)"), "{message}");
        check_with(kind, &short, Failed, &after(2 * MINUTE));
        let now = time("2026-01-01T12:01:00Z");
        check_with(
            "refused late",
            &short,
            InProgress,
            &HealthContext { now, ..after(10 * MINUTE) },
        );
    }
}

#[test]
fn a_replica_set_is_current_when_its_pods_are_labelled_ready_and_available() {
    let counts = json!({"replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 2, "availableReplicas": 2});
    let done = object("apps/v1", "ReplicaSet", json!({"replicas": 2}), counts);
    let status = |name, value| with(&done, ["status", name], value);
    let failure = condition("ReplicaFailure", "True")["conditions"].clone();
    for (case, object, wanted) in [
        ("rsOK2", done.clone(), Current),
        ("rsNoStatus", object("apps/v1", "ReplicaSet", json!({}), json!({})), InProgress),
        ("rsLessLabelled", status("fullyLabeledReplicas", json!(1)), InProgress),
        ("rsLessReady", status("readyReplicas", json!(1)), InProgress),
        ("rsLessAvailable", status("availableReplicas", json!(1)), InProgress),
        ("rsExtraPods", status("replicas", json!(3)), InProgress),
        ("rsReplicaFailure", status("conditions", failure), InProgress),
    ] {
        check(case, &object, wanted);
    }
}

fn set(spec: Value, status: Value) -> Value {
    object("apps/v1", "StatefulSet", spec, status)
}

#[test]
fn a_stateful_set_is_current_when_its_newest_revision_is_everywhere() {
    let done = json!({"replicas": 4, "readyReplicas": 4, "currentReplicas": 4});
    let four = |status| set(json!({"replicas": 4}), status);
    let one = |spec, updated: i64| {
        set(
            spec,
            json!({"replicas": 1, "readyReplicas": 1, "updatedReplicas": updated, "currentRevision": "a", "updateRevision": "b"}),
        )
    };
    let partition = json!({"updateStrategy": {"rollingUpdate": {"partition": 1}}});
    let with_min_ready = |available: i64| {
        let counts = json!({"replicas": 1, "readyReplicas": 1, "currentReplicas": 1, "availableReplicas": available});
        set(json!({"replicas": 1, "minReadySeconds": 600}), counts)
    };
    for (case, object, wanted) in [
        ("stsNoStatus", set(json!({}), json!({})), InProgress),
        ("stsOK", four(done.clone()), Current),
        (
            "stsLessReady",
            with(&four(done.clone()), ["status", "readyReplicas"], json!(2)),
            InProgress,
        ),
        (
            "stsLessCurrent",
            with(&four(done.clone()), ["status", "currentReplicas"], json!(2)),
            InProgress,
        ),
        ("stsExtraPods", with(&four(done), ["status", "replicas"], json!(8)), InProgress),
        ("an old pod", one(json!({}), 0), InProgress),
        ("the newest revision is not the current one yet", one(json!({}), 1), InProgress),
        ("below the partition", one(partition, 0), Current),
        ("not ready for minReadySeconds", with_min_ready(0), InProgress),
        ("ready for minReadySeconds", with_min_ready(1), Current),
    ] {
        check(case, &object, wanted);
    }
}

#[test]
fn with_on_delete_a_stateful_set_waits_for_the_grace_period_until_its_pods_are_replaced() {
    let on_delete = |ready: i64, updated: i64| {
        set(
            json!({"replicas": 2, "updateStrategy": {"type": "OnDelete"}}),
            json!({"replicas": 2, "readyReplicas": ready, "updatedReplicas": updated, "currentReplicas": 2 - updated, "currentRevision": "a", "updateRevision": "b"}),
        )
    };
    for (case, object, soon, later) in [
        ("nobody replaces them", on_delete(2, 0), InProgress, Current),
        ("somebody stopped half-way", on_delete(2, 1), InProgress, Current),
        ("all are replaced", on_delete(2, 2), Current, Current),
        ("a new one is not ready", on_delete(1, 1), InProgress, InProgress),
    ] {
        check(case, &object, soon);
        check_with(case, &object, later, &after(2 * MINUTE));
    }
    let health = check_with("message", &on_delete(2, 0), Current, &after(2 * MINUTE));
    assert_eq!(health.message, "0 of 2 pods updated, the others when they are deleted (OnDelete)");
}
