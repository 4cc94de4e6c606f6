//! Workloads that lacked pods before an upgrade and are no worse after it.

use super::*;

const GRACE: Duration = Duration::from_secs(120);

fn deployment(name: &str, desired: i64, updated: i64, available: i64) -> Object {
    let status = json!({
        "observedGeneration": 2, "replicas": desired.min(updated), "updatedReplicas": updated,
        "availableReplicas": available, "readyReplicas": available,
    });
    named(name, object("apps/v1", "Deployment", json!({"replicas": desired}), status))
}

fn daemon_set(desired: i64, updated: i64, available: i64) -> Object {
    let status = json!({
        "observedGeneration": 2, "desiredNumberScheduled": desired,
        "currentNumberScheduled": desired, "updatedNumberScheduled": updated,
        "numberAvailable": available, "numberReady": available,
    });
    named("d", object("apps/v1", "DaemonSet", json!({}), status))
}

fn stateful_set(desired: i64, updated: i64, ready: i64) -> Object {
    let status = json!({
        "observedGeneration": 2, "replicas": desired, "updatedReplicas": updated,
        "readyReplicas": ready, "currentRevision": "a", "updateRevision": "b",
    });
    named("s", object("apps/v1", "StatefulSet", json!({"replicas": desired}), status))
}

fn named(name: &str, mut object: Value) -> Object {
    object["metadata"]["name"] = json!(name);
    Object(object)
}

fn recorded(objects: &[Object]) -> Vec<PreexistingFailure> {
    let healths: Vec<Health> = objects.iter().map(|o| assess(o, Duration::ZERO)).collect();
    preexisting_failures(objects.iter().zip(&healths))
}

/// The health of these objects with preexisting failures, in an upgrade or a rollback.
fn tolerated(
    objects: &[Object],
    failures: &[PreexistingFailure],
    since_apply: Duration,
    is_rollback: bool,
) -> Vec<HealthStatus> {
    let mut healths: Vec<Health> = objects.iter().map(|o| assess(o, since_apply)).collect();
    let mut pairs: Vec<(&Object, &mut Health)> = objects.iter().zip(&mut healths).collect();
    let tolerance =
        Tolerance { failures, since_apply, grace: GRACE, requires_new_pods: !is_rollback };
    tolerance.apply(&mut pairs);
    healths.into_iter().map(|health| health.status).collect()
}

fn is_tolerated(before: &Object, after: &Object) -> bool {
    let failures = recorded(std::slice::from_ref(before));
    tolerated(std::slice::from_ref(after), &failures, GRACE, false) == [Current]
}

#[test]
fn as_many_pods_may_be_missing_as_were_and_all_others_have_to_be_new() {
    for (case, before, after, expected) in [
        ("one is off", daemon_set(10, 10, 9), daemon_set(10, 10, 9), true),
        ("and its pod is old", daemon_set(10, 10, 9), daemon_set(10, 9, 9), true),
        ("better, not all", daemon_set(10, 10, 7), daemon_set(10, 10, 8), true),
        ("another is off", daemon_set(10, 10, 9), daemon_set(10, 10, 8), false),
        ("the first new pod is bad", daemon_set(10, 10, 9), daemon_set(10, 1, 9), false),
        ("two are not updated yet", daemon_set(10, 10, 9), daemon_set(10, 8, 9), false),
        ("a larger cluster", daemon_set(10, 10, 9), daemon_set(12, 12, 11), true),
        ("all were healthy", daemon_set(10, 10, 10), daemon_set(10, 10, 9), false),
        ("a quota", deployment("a", 3, 2, 2), deployment("a", 3, 2, 2), true),
        ("more are desired", deployment("a", 3, 2, 2), deployment("a", 5, 2, 2), false),
        ("it was being rolled out", stateful_set(3, 1, 2), stateful_set(3, 3, 2), true),
        ("not all are updated yet", stateful_set(3, 3, 2), stateful_set(3, 1, 2), false),
    ] {
        assert_eq!(is_tolerated(&before, &after), expected, "{case}");
    }
}

#[test]
fn a_deployment_with_old_pods_is_not_tolerated() {
    let mut mixed = deployment("a", 4, 4, 3);
    mixed.0["status"]["replicas"] = json!(5);
    assert!(!is_tolerated(&deployment("a", 4, 4, 3), &mixed), "some available pods are old");
}

#[test]
fn for_the_grace_period_a_tolerated_workload_is_in_progress_and_does_not_fail() {
    let failures = recorded(&[deployment("a", 2, 2, 1)]);
    let exceeded =
        json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"});
    let mut after = deployment("a", 2, 2, 1);
    after.0["status"]["conditions"] = json!([exceeded]);
    let objects = [after];
    assert_eq!(tolerated(&objects, &[], Duration::ZERO, false), [Failed]);
    assert_eq!(tolerated(&objects, &failures, Duration::ZERO, false), [InProgress]);
    assert_eq!(tolerated(&objects, &failures, GRACE, false), [Current]);
    let repaired = [deployment("a", 2, 2, 2)];
    assert_eq!(tolerated(&repaired, &failures, Duration::ZERO, false), [Current]);
}

#[test]
fn a_version_without_a_new_pod_has_proved_nothing() {
    let down = || deployment("a", 1, 1, 0);
    let failures = recorded(&[down()]);
    assert_eq!(tolerated(&[down()], &failures, GRACE, false), [InProgress]);
    assert_eq!(tolerated(&[down()], &failures, GRACE, true), [Current], "a rollback restores it");
    let other = deployment("b", 1, 1, 1);
    assert_eq!(tolerated(&[down(), other], &failures, GRACE, false), [Current, Current]);
    let not_observed = with(&deployment("b", 1, 1, 1).0, ["metadata", "generation"], json!(3));
    let statuses = tolerated(&[down(), Object(not_observed)], &failures, GRACE, false);
    assert_eq!(statuses, [InProgress, InProgress], "the pods are of the previous version");
}

#[test]
fn only_workloads_are_recorded_and_sixteen_at_most() {
    let pod = named("p", object("v1", "Pod", json!({}), json!({"phase": "Failed"})));
    let custom = object("example.com/v1", "Backend", json!({}), condition("Ready", "False"));
    assert_eq!(recorded(&[pod, Object(custom), deployment("a", 1, 1, 1)]), []);
    let many: Vec<Object> = (0..40).map(|n| deployment(&n.to_string(), 1, 1, 0)).collect();
    assert_eq!(recorded(&many).len(), 16);
    assert_eq!(recorded(&many)[0].missing, 1);
}
