//! DaemonSets, and the nodes that are not ready.

use super::*;

/// Four pods are desired.
fn set(spec: Value, ready: i64) -> Value {
    let status = json!({"observedGeneration": 2, "desiredNumberScheduled": 4, "currentNumberScheduled": 4, "updatedNumberScheduled": 4, "numberAvailable": ready, "numberReady": ready});
    let mut set = object("apps/v1", "DaemonSet", spec, status);
    set["metadata"]["annotations"] = json!({"deprecated.daemonset.template.generation": "7"});
    set["spec"]["selector"] = json!({"matchLabels": {"app": "x"}});
    set
}

fn pod(node: &str, template: &str, ready: &str) -> Object {
    let labels = json!({"app": "x", "pod-template-generation": template});
    Object(
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": node, "namespace": "n", "labels": labels},
        "spec": {"nodeName": node}, "status": condition("Ready", ready)}),
    )
}

fn node(name: &str, ready: &str) -> Object {
    let labels = json!({"disk": name});
    Object(
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": condition("Ready", ready)}),
    )
}

#[test]
fn a_daemon_set_is_current_when_every_node_has_its_pod() {
    let done = set(json!({}), 4);
    let status = |name, value| with(&done, ["status", name], value);
    for (case, object, wanted) in [
        ("dsOK", done.clone(), Current),
        ("dsNoStatus", object("apps/v1", "DaemonSet", json!({}), json!({})), InProgress),
        ("dsBadStatus", status("desiredNumberScheduled", json!(null)), InProgress),
        ("dsDifferentGeneration", status("observedGeneration", json!(1)), InProgress),
        ("not scheduled", status("currentNumberScheduled", json!(3)), InProgress),
        ("not updated", status("updatedNumberScheduled", json!(3)), InProgress),
        ("dsLessAvailable", status("numberAvailable", json!(2)), InProgress),
        ("dsLessReady", status("numberReady", json!(2)), InProgress),
        ("no node is selected", status("desiredNumberScheduled", json!(0)), Current),
    ] {
        check(case, &object, wanted);
    }
}

#[test]
fn with_on_delete_a_daemon_set_waits_for_the_grace_period_until_its_pods_are_replaced() {
    let mut old = set(json!({"updateStrategy": {"type": "OnDelete"}}), 4);
    old["status"]["updatedNumberScheduled"] = json!(0);
    check("soon", &old, InProgress);
    check_with("later", &old, Current, &after(2 * MINUTE));
    old["status"]["numberReady"] = json!(3);
    check_with("not ready", &old, InProgress, &after(2 * MINUTE));
}

#[test]
fn pods_missing_only_on_nodes_that_are_not_ready_do_not_count() {
    let nodes = [node("a", "True"), node("b", "True"), node("c", "True"), node("d", "Unknown")];
    let two_unready =
        [node("a", "True"), node("b", "True"), node("c", "False"), node("d", "Unknown")];
    let healthy = |name| pod(name, "7", "True");
    let unready = pod("d", "7", "False");
    let on_c = json!({"template": {"spec": {"nodeSelector": {"disk": "c"}}}});
    for (case, spec, ready, pods, nodes, wanted) in [
        (
            "one node is not ready",
            json!({}),
            3,
            vec![healthy("a"), healthy("b"), healthy("c"), unready.clone()],
            &nodes[..],
            Current,
        ),
        (
            "its pod does not exist",
            json!({}),
            3,
            vec![healthy("a"), healthy("b"), healthy("c")],
            &nodes,
            Current,
        ),
        (
            "nodes are not known",
            json!({}),
            3,
            vec![healthy("a"), healthy("b"), healthy("c"), unready],
            &[],
            InProgress,
        ),
        ("pods are not known", json!({}), 3, vec![], &nodes, InProgress),
        (
            "another pod is not ready",
            json!({}),
            2,
            vec![healthy("a"), healthy("b"), pod("c", "7", "False")],
            &nodes,
            InProgress,
        ),
        (
            "another pod is old",
            json!({}),
            3,
            vec![healthy("a"), healthy("b"), pod("c", "6", "True")],
            &nodes,
            InProgress,
        ),
        (
            "another pod is missing",
            json!({}),
            2,
            vec![healthy("a"), healthy("b")],
            &nodes,
            InProgress,
        ),
        (
            "two nodes are not ready",
            json!({}),
            2,
            vec![healthy("a"), healthy("b")],
            &two_unready,
            Current,
        ),
        (
            "the node that is not ready is not selected",
            on_c,
            3,
            vec![healthy("a"), healthy("b"), healthy("c")],
            &nodes,
            InProgress,
        ),
        (
            "no node is ready",
            json!({}),
            0,
            vec![],
            &[node("a", "Unknown"), node("b", "Unknown"), node("c", "False"), node("d", "False")],
            InProgress,
        ),
    ] {
        let context = HealthContext { pods: &pods, nodes, ..HealthContext::default() };
        check_with(case, &set(spec, ready), wanted, &context);
    }
}
