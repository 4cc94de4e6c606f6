//! The pod that keeps a StatefulSet from its new template.

use super::*;

const NOW: &str = "2026-01-01T12:10:00Z";
const LONG_AGO: &str = "2026-01-01T12:00:00Z";

/// Rolled back from revision `b` to `a`; two pods are desired.
fn set() -> Value {
    let status = json!({
        "observedGeneration": 2, "replicas": 2, "readyReplicas": 1, "updatedReplicas": 1,
        "currentRevision": "a", "updateRevision": "a", "currentReplicas": 1,
    });
    let mut set = object("apps/v1", "StatefulSet", json!({"replicas": 2}), status);
    set["metadata"]["uid"] = json!("set");
    set
}

fn pod(ordinal: u32, revision: &str, ready: &str, since: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("x-{ordinal}"), "namespace": "n", "ownerReferences": [{"uid": "set"}],
            "labels": {"controller-revision-hash": revision},
        },
        "status": {"conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": since}]},
    })
}

fn find(set: Value, pods: Vec<Value>) -> Option<String> {
    let pods: Vec<Object> = pods.into_iter().map(Object).collect();
    let now = NOW.parse().expect("a time");
    find_stuck_pod(&Object(set), &pods, now, 2 * MINUTE).map(|pod| pod.name().to_owned())
}

#[test]
fn a_pod_that_never_becomes_ready_is_stuck_when_the_template_has_changed() {
    let none_updated = || with(&set(), ["status", "updatedReplicas"], json!(0));
    let third = || with(&none_updated(), ["status", "updateRevision"], json!("c"));
    let partition = json!({"rollingUpdate": {"partition": 2}});
    for (case, set, second, expected) in [
        ("of the version that was rolled back", set(), ("b", "False", NOW), true),
        ("of the second version, a third is assigned", third(), ("b", "False", NOW), true),
        ("ready", set(), ("b", "True", NOW), false),
        ("of the serving revision, unready for a moment", third(), ("a", "False", NOW), false),
        ("of the revision that served, unready for long", third(), ("a", "False", LONG_AGO), true),
        (
            "below a partition",
            with(&third(), ["spec", "updateStrategy"], partition),
            ("b", "False", NOW),
            false,
        ),
        (
            "not observed yet",
            with(&set(), ["status", "observedGeneration"], json!(1)),
            ("b", "False", NOW),
            false,
        ),
        (
            "replaced in any order",
            with(&set(), ["spec", "podManagementPolicy"], json!("Parallel")),
            ("b", "False", NOW),
            false,
        ),
        (
            "replaced by hand",
            with(&set(), ["spec", "updateStrategy"], json!({"type": "OnDelete"})),
            ("b", "False", NOW),
            false,
        ),
        (
            "of another set",
            with(&set(), ["metadata", "uid"], json!("other")),
            ("b", "False", NOW),
            false,
        ),
    ] {
        let (revision, ready, since) = second;
        let pods = vec![pod(1, revision, ready, since), pod(0, "a", "True", LONG_AGO)];
        assert_eq!(find(set, pods), expected.then(|| "x-1".to_owned()), "{case}");
    }
}

#[test]
fn a_pod_that_is_replaced_by_hand_is_stuck_if_it_was_never_ready_or_is_unready_for_long() {
    let by_hand = || with(&set(), ["spec", "updateStrategy"], json!({"type": "OnDelete"}));
    for (case, started, since, expected) in [
        ("never ready", NOW, NOW, true),
        ("was ready", LONG_AGO, NOW, false),
        ("was ready, unready for long", "2026-01-01T11:00:00Z", LONG_AGO, true),
    ] {
        let mut second = pod(1, "b", "False", since);
        second["status"]["startTime"] = json!(started);
        let found = find(by_hand(), vec![pod(0, "a", "True", LONG_AGO), second]);
        assert_eq!(found, expected.then(|| "x-1".to_owned()), "{case}");
    }
}

#[test]
fn a_pod_of_the_newest_template_is_never_stuck() {
    let newest = pod(0, "a", "False", LONG_AGO);
    assert_eq!(find(set(), vec![newest, pod(1, "b", "False", LONG_AGO)]), None);
}

#[test]
fn only_the_pod_that_the_controller_waits_for_is_stuck() {
    let unready = |ordinal| pod(ordinal, "b", "False", LONG_AGO);
    assert_eq!(find(set(), vec![unready(1), unready(0)]), Some("x-0".to_owned()));
    // The first is missing; the controller creates it before it replaces any.
    assert_eq!(find(set(), vec![unready(1)]), None);
    let mut terminating = unready(0);
    terminating["metadata"]["deletionTimestamp"] = json!(NOW);
    assert_eq!(find(set(), vec![terminating, unready(1)]), None);
}
