//! One row a rule.

use serde_json::json;

use super::*;

fn check(object: Value, status: HealthStatus) {
    let health = assess(&Object(object.clone()), Duration::ZERO);
    assert_eq!(health.status, status, "{} for {object}", health.message);
}

fn deployment(status: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "generation": 2},
        "spec": {"replicas": 2}, "status": status,
    })
}

#[test]
fn a_deployment_is_current_when_all_replicas_are_updated_ready_and_available() {
    let done = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2});
    let with = |name: &str, value: Value| {
        let mut status = done.clone();
        status[name] = value;
        deployment(status)
    };
    check(deployment(done.clone()), HealthStatus::Current);
    check(deployment(json!({})), HealthStatus::InProgress);
    check(with("observedGeneration", json!(1)), HealthStatus::InProgress);
    check(with("updatedReplicas", json!(1)), HealthStatus::InProgress);
    check(with("readyReplicas", json!(1)), HealthStatus::InProgress);
    check(with("availableReplicas", json!(0)), HealthStatus::InProgress);
    check(with("replicas", json!(3)), HealthStatus::InProgress);
    let late = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"}]);
    check(with("conditions", late), HealthStatus::Failed);
}

#[test]
fn a_quota_that_refuses_pods_is_named() {
    let status = json!({"observedGeneration": 2, "conditions": [
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: q"}]});
    let health = assess(&Object(deployment(status)), Duration::ZERO);
    assert_eq!(health, Health::in_progress("0 of 2 replicas updated (exceeded quota: q)"));
}

#[test]
fn a_stateful_set_is_current_when_its_newest_revision_is_everywhere() {
    let set = |spec: Value, status: Value| json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": spec, "status": status});
    let done = json!({"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "a"});
    let old = json!({"replicas": 1, "readyReplicas": 1, "updatedReplicas": 0, "currentRevision": "a", "updateRevision": "b"});
    check(set(json!({}), done), HealthStatus::Current);
    check(set(json!({}), old.clone()), HealthStatus::InProgress);
    check(set(json!({}), json!({})), HealthStatus::InProgress);
    check(
        set(json!({"updateStrategy": {"rollingUpdate": {"partition": 1}}}), old.clone()),
        HealthStatus::Current,
    );
    check(set(json!({"updateStrategy": {"type": "OnDelete"}}), old), HealthStatus::Current);
}

#[test]
fn a_daemon_set_is_current_when_every_node_has_its_pod() {
    let set = |status: Value| json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "s"}, "status": status});
    check(set(json!({})), HealthStatus::InProgress);
    check(
        set(json!({"observedGeneration": 1, "desiredNumberScheduled": 0})),
        HealthStatus::Current,
    );
    check(
        set(
            json!({"observedGeneration": 1, "desiredNumberScheduled": 1, "currentNumberScheduled": 1}),
        ),
        HealthStatus::InProgress,
    );
}

#[test]
fn pods_jobs_claims_and_the_rest_have_their_rules() {
    let object = |api: &str, kind: &str, status: Value| json!({"apiVersion": api, "kind": kind, "metadata": {"name": "x"}, "status": status});
    let condition = |kind: &str, status: &str| json!({"conditions": [{"type": kind, "status": status, "message": "m"}]});
    for (api, kind, status, wanted) in [
        ("v1", "Pod", json!({"phase": "Pending"}), HealthStatus::InProgress),
        ("v1", "Pod", json!({"phase": "Failed"}), HealthStatus::Failed),
        ("v1", "Pod", json!({"phase": "Succeeded"}), HealthStatus::Current),
        ("v1", "Pod", condition("Ready", "True"), HealthStatus::Current),
        ("v1", "Pod", condition("Ready", "False"), HealthStatus::InProgress),
        ("batch/v1", "Job", json!({}), HealthStatus::InProgress),
        ("batch/v1", "Job", json!({"startTime": "2026-01-01T00:00:00Z"}), HealthStatus::Current),
        ("batch/v1", "Job", condition("Failed", "True"), HealthStatus::Failed),
        ("batch/v1", "Job", condition("Complete", "True"), HealthStatus::Current),
        ("batch/v1", "CronJob", json!({}), HealthStatus::Current),
        ("v1", "PersistentVolumeClaim", json!({"phase": "Bound"}), HealthStatus::Current),
        ("v1", "PersistentVolumeClaim", json!({"phase": "Pending"}), HealthStatus::InProgress),
        (
            "policy/v1",
            "PodDisruptionBudget",
            json!({"currentHealthy": 1, "desiredHealthy": 2}),
            HealthStatus::InProgress,
        ),
        (
            "policy/v1",
            "PodDisruptionBudget",
            json!({"currentHealthy": 2, "desiredHealthy": 2}),
            HealthStatus::Current,
        ),
        ("v1", "Service", json!({}), HealthStatus::Current),
        ("v1", "ConfigMap", json!(null), HealthStatus::Current),
        (
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            condition("Established", "True"),
            HealthStatus::Current,
        ),
        (
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            condition("NamesAccepted", "False"),
            HealthStatus::Failed,
        ),
        (
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            json!({}),
            HealthStatus::InProgress,
        ),
        (
            "apiregistration.k8s.io/v1",
            "APIService",
            condition("Available", "False"),
            HealthStatus::InProgress,
        ),
        (
            "apiregistration.k8s.io/v1",
            "APIService",
            condition("Available", "True"),
            HealthStatus::Current,
        ),
        ("example.com/v1", "Backend", condition("Ready", "False"), HealthStatus::InProgress),
        ("example.com/v1", "Backend", condition("Ready", "True"), HealthStatus::Current),
        ("example.com/v1", "Backend", condition("Reconciling", "True"), HealthStatus::InProgress),
        ("example.com/v1", "Backend", condition("Stalled", "True"), HealthStatus::Failed),
    ] {
        check(object(api, kind, status), wanted);
    }
}

#[test]
fn a_condition_of_an_older_generation_does_not_count() {
    let stale =
        json!({"type": "Stalled", "status": "True", "observedGeneration": 1, "message": "old"});
    check(
        json!({"apiVersion": "example.com/v1", "kind": "Backend", "metadata": {"name": "b", "generation": 2}, "status": {"conditions": [stale]}}),
        HealthStatus::Current,
    );
}

#[test]
fn a_custom_resource_without_status_is_awaited_for_a_while() {
    let silent = Object(
        json!({"apiVersion": "example.com/v1", "kind": "Backend", "metadata": {"name": "b"}}),
    );
    assert_eq!(assess(&silent, Duration::ZERO).status, HealthStatus::InProgress);
    assert_eq!(assess(&silent, STATUS_GRACE).status, HealthStatus::Current);
}

#[test]
fn what_is_being_deleted_is_terminating() {
    check(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "deletionTimestamp": "2026-01-01T00:00:00Z"}}),
        HealthStatus::Terminating,
    );
}

#[test]
fn the_first_failure_decides_for_all() {
    let object =
        Object(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}));
    let says = |healths: Vec<Health>| verdict(healths.into_iter().map(|health| (&object, health)));
    let (ok, wait, bad) = (Health::current(), Health::in_progress("w"), Health::failed("f"));
    assert_eq!(says(vec![]), Verdict::Healthy);
    assert_eq!(says(vec![ok.clone()]), Verdict::Healthy);
    assert_eq!(says(vec![ok, wait.clone()]), Verdict::Awaited("ConfigMap b: w".into()));
    assert_eq!(
        says(vec![wait.clone(), wait.clone()]),
        Verdict::Awaited("ConfigMap b: w (and 1 more)".into())
    );
    assert_eq!(says(vec![wait, bad]), Verdict::Failed("ConfigMap b: f".into()));
}
