//! Which pod keeps a StatefulSet from its new template.

use super::*;
use crate::health::in_the_way;

const NOW: &str = "2026-01-01T12:10:00Z";
const LONG_AGO: &str = "2026-01-01T12:00:00Z";

/// Gone back from revision `b` to `a`; two pods are wanted.
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

fn but(set: Value, path: [&str; 2], what: Value) -> Value {
    with(&set, path, what)
}

fn found(set: Value, pods: Vec<Value>) -> Option<String> {
    let pods: Vec<Object> = pods.into_iter().map(Object).collect();
    let now = NOW.parse().expect("a time");
    in_the_way(&Object(set), &pods, now, 2 * MINUTE).map(|pod| pod.name().to_owned())
}

#[test]
fn a_pod_that_never_becomes_ready_is_in_the_way_of_another_template() {
    let none_updated = || but(set(), ["status", "updatedReplicas"], json!(0));
    let third = || but(none_updated(), ["status", "updateRevision"], json!("c"));
    let partition = json!({"rollingUpdate": {"partition": 2}});
    for (what, set, second, expected) in [
        ("of the version gone back from", set(), ("b", "False", NOW), true),
        ("of the second version, a third is asked", third(), ("b", "False", NOW), true),
        ("ready", set(), ("b", "True", NOW), false),
        ("of what serves, for a moment", third(), ("a", "False", NOW), false),
        ("of what served, for long", third(), ("a", "False", LONG_AGO), true),
        (
            "below a partition",
            but(third(), ["spec", "updateStrategy"], partition),
            ("b", "False", NOW),
            false,
        ),
        (
            "not seen yet",
            but(set(), ["status", "observedGeneration"], json!(1)),
            ("b", "False", NOW),
            false,
        ),
        (
            "in any order",
            but(set(), ["spec", "podManagementPolicy"], json!("Parallel")),
            ("b", "False", NOW),
            false,
        ),
        (
            "by hand",
            but(set(), ["spec", "updateStrategy"], json!({"type": "OnDelete"})),
            ("b", "False", NOW),
            false,
        ),
        ("another's", but(set(), ["metadata", "uid"], json!("other")), ("b", "False", NOW), false),
    ] {
        let (revision, ready, since) = second;
        let pods = vec![pod(1, revision, ready, since), pod(0, "a", "True", LONG_AGO)];
        assert_eq!(found(set, pods), expected.then(|| "x-1".to_owned()), "{what}");
    }
}

#[test]
fn a_pod_of_the_template_there_is_is_waited_for() {
    let newest = pod(0, "a", "False", LONG_AGO);
    assert_eq!(found(set(), vec![newest, pod(1, "b", "False", LONG_AGO)]), None);
}

#[test]
fn only_what_the_controller_waits_for_is_in_the_way() {
    let unready = |ordinal| pod(ordinal, "b", "False", LONG_AGO);
    assert_eq!(found(set(), vec![unready(1), unready(0)]), Some("x-0".to_owned()));
    // The first is missing, and will be made before any is replaced.
    assert_eq!(found(set(), vec![unready(1)]), None);
    let mut going = unready(0);
    going["metadata"]["deletionTimestamp"] = json!(NOW);
    assert_eq!(found(set(), vec![going, unready(1)]), None);
}
