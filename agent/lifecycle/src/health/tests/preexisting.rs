//! What was not whole before an upgrade, and what is no worse after it.

use super::*;

const GRACE: Duration = Duration::from_secs(120);

fn deployment(name: &str, wanted: i64, updated: i64, available: i64) -> Object {
    let status = json!({
        "observedGeneration": 2, "replicas": wanted.min(updated), "updatedReplicas": updated,
        "availableReplicas": available, "readyReplicas": available,
    });
    named(name, object("apps/v1", "Deployment", json!({"replicas": wanted}), status))
}

fn daemon_set(wanted: i64, updated: i64, available: i64) -> Object {
    let status = json!({
        "observedGeneration": 2, "desiredNumberScheduled": wanted,
        "currentNumberScheduled": wanted, "updatedNumberScheduled": updated,
        "numberAvailable": available, "numberReady": available,
    });
    named("d", object("apps/v1", "DaemonSet", json!({}), status))
}

fn stateful_set(wanted: i64, updated: i64, ready: i64) -> Object {
    let status = json!({
        "observedGeneration": 2, "replicas": wanted, "updatedReplicas": updated,
        "readyReplicas": ready, "currentRevision": "a", "updateRevision": "b",
    });
    named("s", object("apps/v1", "StatefulSet", json!({"replicas": wanted}), status))
}

fn named(name: &str, mut object: Value) -> Object {
    object["metadata"]["name"] = json!(name);
    Object(object)
}

fn before(objects: &[Object]) -> Vec<PreexistingFailure> {
    let healths: Vec<Health> = objects.iter().map(|o| assess(o, Duration::ZERO)).collect();
    ill(objects.iter().zip(&healths))
}

/// Their health, with what was before.
fn judged(
    objects: &[Object],
    ill: &[PreexistingFailure],
    since: Duration,
    back: bool,
) -> Vec<HealthStatus> {
    let mut healths: Vec<Health> = objects.iter().map(|o| assess(o, since)).collect();
    let mut looked: Vec<(&Object, &mut Health)> = objects.iter().zip(&mut healths).collect();
    Tolerance { before: ill, since, grace: GRACE, back }.make(&mut looked);
    healths.into_iter().map(|health| health.status).collect()
}

fn is_excused(was: &Object, is: &Object) -> bool {
    let ill = before(std::slice::from_ref(was));
    judged(std::slice::from_ref(is), &ill, GRACE, false) == [Current]
}

#[test]
fn as_many_pods_may_be_missing_as_were_and_all_others_have_to_be_new() {
    for (what, was, is, excused) in [
        ("one is off", daemon_set(10, 10, 9), daemon_set(10, 10, 9), true),
        ("and its pod is old", daemon_set(10, 10, 9), daemon_set(10, 9, 9), true),
        ("better, not whole", daemon_set(10, 10, 7), daemon_set(10, 10, 8), true),
        ("another is off", daemon_set(10, 10, 9), daemon_set(10, 10, 8), false),
        ("the first new pod is bad", daemon_set(10, 10, 9), daemon_set(10, 1, 9), false),
        ("two are to come", daemon_set(10, 10, 9), daemon_set(10, 8, 9), false),
        ("a larger cluster", daemon_set(10, 10, 9), daemon_set(12, 12, 11), true),
        ("all was well", daemon_set(10, 10, 10), daemon_set(10, 10, 9), false),
        ("a quota", deployment("a", 3, 2, 2), deployment("a", 3, 2, 2), true),
        ("more are wanted", deployment("a", 3, 2, 2), deployment("a", 5, 2, 2), false),
        ("it was being rolled out", stateful_set(3, 1, 2), stateful_set(3, 3, 2), true),
        ("not yet everywhere", stateful_set(3, 3, 2), stateful_set(3, 1, 2), false),
    ] {
        assert_eq!(is_excused(&was, &is), excused, "{what}");
    }
}

#[test]
fn old_pods_of_a_deployment_excuse_nothing() {
    let mut mixed = deployment("a", 4, 4, 3);
    mixed.0["status"]["replicas"] = json!(5);
    assert!(!is_excused(&deployment("a", 4, 4, 3), &mixed), "some that are there are old");
}

#[test]
fn it_gets_the_grace_to_become_whole_and_to_fail_no_sooner() {
    let was = before(&[deployment("a", 2, 2, 1)]);
    let late =
        json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"});
    let mut is = deployment("a", 2, 2, 1);
    is.0["status"]["conditions"] = json!([late]);
    let objects = [is];
    assert_eq!(judged(&objects, &[], Duration::ZERO, false), [Failed]);
    assert_eq!(judged(&objects, &was, Duration::ZERO, false), [InProgress]);
    assert_eq!(judged(&objects, &was, GRACE, false), [Current]);
    assert_eq!(judged(&[deployment("a", 2, 2, 2)], &was, Duration::ZERO, false), [Current]);
}

#[test]
fn a_version_of_which_nothing_runs_has_proved_nothing() {
    let down = || deployment("a", 1, 1, 0);
    let was = before(&[down()]);
    assert_eq!(judged(&[down()], &was, GRACE, false), [InProgress]);
    assert_eq!(judged(&[down()], &was, GRACE, true), [Current], "it was so, and is so again");
    let other = deployment("b", 1, 1, 1);
    assert_eq!(judged(&[down(), other], &was, GRACE, false), [Current, Current]);
    let unseen = with(&deployment("b", 1, 1, 1).0, ["metadata", "generation"], json!(3));
    let judged = judged(&[down(), Object(unseen)], &was, GRACE, false);
    assert_eq!(judged, [InProgress, InProgress], "what runs is of the version before");
}

#[test]
fn only_workloads_are_remembered_and_not_many() {
    let pod = named("p", object("v1", "Pod", json!({}), json!({"phase": "Failed"})));
    let custom = object("example.com/v1", "Backend", json!({}), condition("Ready", "False"));
    assert_eq!(before(&[pod, Object(custom), deployment("a", 1, 1, 1)]), []);
    let many: Vec<Object> = (0..40).map(|n| deployment(&n.to_string(), 1, 1, 0)).collect();
    assert_eq!(before(&many).len(), 16);
    assert_eq!(before(&many)[0].missing, 1);
}
