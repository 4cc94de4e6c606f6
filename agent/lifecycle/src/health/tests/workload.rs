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
    for (what, object, wanted) in [
        ("depOK", status("conditions", progressing("NewReplicaSetAvailable")), Current),
        ("depNoProgressDeadlineSeconds", done.clone(), Current),
        ("paused", status("conditions", progressing("DeploymentPaused")), Current),
        ("depNoStatus", object("apps/v1", "Deployment", json!({}), json!({})), InProgress),
        ("not observed", status("observedGeneration", json!(1)), InProgress),
        ("one is old", status("updatedReplicas", json!(1)), InProgress),
        ("one is not ready", status("readyReplicas", json!(1)), InProgress),
        ("none is available", status("availableReplicas", json!(0)), InProgress),
        ("an old one is left", status("replicas", json!(3)), InProgress),
        (
            "depNotAvailable",
            status("conditions", condition("Available", "False")["conditions"].clone()),
            InProgress,
        ),
        ("too late", status("conditions", late()), Failed),
        ("none are wanted", with(&done, ["spec", "replicas"], json!(0)), InProgress),
    ] {
        check(what, &object, wanted);
    }
    let none = |status| object("apps/v1", "Deployment", json!({"replicas": 0}), status);
    check("none are wanted and none is there", &none(json!({"observedGeneration": 2})), Current);
    check("none are wanted, and nobody has looked", &none(json!({})), InProgress);
}

#[test]
fn a_replication_controller_is_judged_as_a_replica_set() {
    let of = |ready: i64| {
        let counts = json!({"replicas": 1, "fullyLabeledReplicas": 1, "readyReplicas": ready, "availableReplicas": ready});
        object("v1", "ReplicationController", json!({"replicas": 1}), counts)
    };
    check("its pod is not ready", &of(0), InProgress);
    check("its pod is ready", &of(1), Current);
    let new = object("v1", "ReplicationController", json!({"replicas": 0}), json!({}));
    check("nobody has looked", &new, InProgress);
}

#[test]
fn a_deadline_missed_before_the_apply_does_not_count() {
    let mut short = with(&deployment(), ["status", "conditions"], late());
    short["status"]["readyReplicas"] = json!(1);
    let context = |now, since| HealthContext { now: at(now), since, ..HealthContext::default() };
    for (what, context, wanted) in [
        ("no time is known", after(MINUTE), Failed),
        ("missed since", context("2026-01-01T12:00:59Z", MINUTE), Failed),
        ("missed before", context("2026-01-01T12:01:01Z", MINUTE), InProgress),
        ("the clock went back", context("2026-01-01T11:00:00Z", MINUTE), Failed),
    ] {
        check_in(what, &short, wanted, &context);
    }
}

#[test]
fn refused_pods_are_named_and_fail_after_a_grace() {
    let refused = json!([{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: q", "lastTransitionTime": "2026-01-01T12:00:00Z"}]);
    for kind in ["Deployment", "ReplicaSet"] {
        let short = object("apps/v1", kind, json!({}), json!({"conditions": refused}));
        let told = check(kind, &short, InProgress).message;
        assert!(told.starts_with("0 of 1 replicas"), "{told}");
        assert!(told.ends_with("(exceeded quota: q)"), "{told}");
        check_in(kind, &short, Failed, &after(2 * MINUTE));
        let now = at("2026-01-01T12:01:00Z");
        check_in("refused late", &short, InProgress, &HealthContext { now, ..after(10 * MINUTE) });
    }
}

#[test]
fn a_replica_set_is_current_when_its_pods_are_labelled_ready_and_available() {
    let counts = json!({"replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 2, "availableReplicas": 2});
    let done = object("apps/v1", "ReplicaSet", json!({"replicas": 2}), counts);
    let status = |name, value| with(&done, ["status", name], value);
    let failure = condition("ReplicaFailure", "True")["conditions"].clone();
    for (what, object, wanted) in [
        ("rsOK2", done.clone(), Current),
        ("rsNoStatus", object("apps/v1", "ReplicaSet", json!({}), json!({})), InProgress),
        ("rsLessLabelled", status("fullyLabeledReplicas", json!(1)), InProgress),
        ("rsLessReady", status("readyReplicas", json!(1)), InProgress),
        ("rsLessAvailable", status("availableReplicas", json!(1)), InProgress),
        ("rsExtraPods", status("replicas", json!(3)), InProgress),
        ("rsReplicaFailure", status("conditions", failure), InProgress),
    ] {
        check(what, &object, wanted);
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
    let ripens = |available: i64| {
        let counts = json!({"replicas": 1, "readyReplicas": 1, "currentReplicas": 1, "availableReplicas": available});
        set(json!({"replicas": 1, "minReadySeconds": 600}), counts)
    };
    for (what, object, wanted) in [
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
        ("the revision is not settled", one(json!({}), 1), InProgress),
        ("behind the partition", one(partition, 0), Current),
        ("not ready for long", ripens(0), InProgress),
        ("ready for as long as it should be", ripens(1), Current),
    ] {
        check(what, &object, wanted);
    }
}

#[test]
fn with_on_delete_a_stateful_set_waits_a_while_for_somebody_to_replace_its_pods() {
    let on_delete = |ready: i64, updated: i64| {
        set(
            json!({"replicas": 2, "updateStrategy": {"type": "OnDelete"}}),
            json!({"replicas": 2, "readyReplicas": ready, "updatedReplicas": updated, "currentReplicas": 2 - updated, "currentRevision": "a", "updateRevision": "b"}),
        )
    };
    for (what, object, soon, later) in [
        ("nobody replaces them", on_delete(2, 0), InProgress, Current),
        ("somebody stopped half-way", on_delete(2, 1), InProgress, Current),
        ("all are replaced", on_delete(2, 2), Current, Current),
        ("a new one is not ready", on_delete(1, 1), InProgress, InProgress),
    ] {
        check(what, &object, soon);
        check_in(what, &object, later, &after(2 * MINUTE));
    }
    let told = check_in("said", &on_delete(2, 0), Current, &after(2 * MINUTE)).message;
    assert_eq!(told, "0 of 2 pods updated, the others when they are deleted");
}
