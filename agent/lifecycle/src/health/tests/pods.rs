//! Pods, and what they say about the workload they belong to.

use super::*;

const CREATED: &str = "2026-01-01T12:00:00Z";

fn pod(status: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n", "creationTimestamp": CREATED, "labels": {"app": "x"}}, "status": status})
}

fn container(state: Value) -> Value {
    json!({"name": "main", "restartCount": 3, "state": state})
}

fn waiting(reason: &str) -> Value {
    json!({"phase": "Pending", "containerStatuses": [container(json!({"waiting": {"reason": reason, "message": "no such image"}}))]})
}

fn unschedulable() -> Value {
    json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}]})
}

#[test]
fn a_pod_is_current_when_it_is_ready_or_has_succeeded() {
    let gated = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]});
    for (what, status, wanted) in [
        ("podNoStatus", json!({}), InProgress),
        ("podReady", condition("Ready", "True"), Current),
        ("running, not ready", condition("Ready", "False"), InProgress),
        ("podCompletedSuccessfully", json!({"phase": "Succeeded"}), Current),
        ("podCompletedFailed", json!({"phase": "Failed"}), Failed),
        ("held back", gated, InProgress),
    ] {
        check_in(what, &pod(status), wanted, &after(3 * MINUTE));
    }
}

#[test]
fn what_keeps_a_pod_fails_it_after_its_grace() {
    let mut init = json!({"initContainerStatuses": waiting("ErrImagePull")["containerStatuses"]});
    init["phase"] = json!("Pending");
    for (what, status) in [
        ("podUnschedulable", unschedulable()),
        ("podCrashLooping", waiting("CrashLoopBackOff")),
        ("image", waiting("ImagePullBackOff")),
        ("image of an init container", init),
        ("configuration", waiting("CreateContainerConfigError")),
    ] {
        check_in(what, &pod(status.clone()), InProgress, &after(MINUTE));
        check_in(what, &pod(status.clone()), Failed, &after(2 * MINUTE));
        let young = HealthContext { now: at("2026-01-01T12:01:00Z"), ..after(10 * MINUTE) };
        check_in("a young pod", &pod(status.clone()), InProgress, &young);
        let jumped = HealthContext { now: at("2026-01-02T12:00:00Z"), ..after(MINUTE) };
        check_in("the clock jumped", &pod(status), InProgress, &jumped);
    }
    let beginning = pod(waiting("ContainerCreating"));
    check_in("beginning", &beginning, InProgress, &after(10 * MINUTE));
}

#[test]
fn the_graces_are_the_callers() {
    let long = 10 * MINUTE;
    let graces = Graces { unschedulable: long, ..Graces::default() };
    let patient = HealthContext { graces, ..after(3 * MINUTE) };
    check_in("unschedulable", &pod(unschedulable()), InProgress, &patient);
    check_in("image", &pod(waiting("ErrImagePull")), Failed, &patient);
    let graces = Graces { trouble: long, ..Graces::default() };
    let patient = HealthContext { graces, ..after(3 * MINUTE) };
    check_in("image", &pod(waiting("ErrImagePull")), InProgress, &patient);
}

#[test]
fn one_crash_is_no_loop() {
    let looping = pod(waiting("CrashLoopBackOff"));
    let with = |field: &str, value: Value| {
        let mut changed = looping.clone();
        changed["status"]["containerStatuses"][0][field] = value;
        changed
    };
    let ran =
        |to: &str| json!({"terminated": {"startedAt": "2026-01-01T12:00:00Z", "finishedAt": to}});
    for (what, object, wanted) in [
        ("the first crash", with("restartCount", json!(0)), InProgress),
        ("the second", with("restartCount", json!(2)), InProgress),
        ("short runs", with("lastState", ran("2026-01-01T12:00:05Z")), Failed),
        ("after a long run", with("lastState", ran("2026-01-01T12:10:00Z")), InProgress),
    ] {
        check_in(what, &object, wanted, &after(5 * MINUTE));
    }
}

/// A workload that waits for its pods, and how a pod of its template is known.
fn workloads() -> [(Value, Value); 4] {
    let selector = json!({"selector": {"matchLabels": {"app": "x"}}});
    let of = |kind, status| object("apps/v1", kind, selector.clone(), status);
    let mut daemon_set =
        of("DaemonSet", json!({"observedGeneration": 2, "desiredNumberScheduled": 1}));
    daemon_set["metadata"]["annotations"] =
        json!({"deprecated.daemonset.template.generation": "7"});
    let rolling = json!({"conditions": [{"type": "Progressing", "status": "True", "message": "ReplicaSet \"x-new\" is progressing."}]});
    let owner = |name: &str| json!({"ownerReferences": [{"name": name}], "labels": {"app": "x"}});
    let label = |name: &str, value: &str| json!({"labels": {"app": "x", name: value}});
    [
        (of("Deployment", rolling), owner("x-new")),
        (of("ReplicaSet", json!({})), owner("x")),
        (of("StatefulSet", json!({"updateRevision": "b"})), label("controller-revision-hash", "b")),
        (daemon_set, label("pod-template-generation", "7")),
    ]
}

fn of_template(status: &Value, marks: &Value) -> Object {
    let mut pod = pod(status.clone());
    let (metadata, marks) = (pod["metadata"].as_object_mut(), marks.as_object().cloned());
    metadata.expect("metadata").extend(marks.expect("marks"));
    Object(pod)
}

#[test]
fn lasting_troubles_are_seen_through_their_owners() {
    for (workload, marks) in workloads() {
        let kind = workload["kind"].as_str().expect("a kind");
        for status in [unschedulable(), waiting("CrashLoopBackOff"), waiting("ImagePullBackOff")] {
            let pods = [of_template(&status, &marks)];
            let context = |since| HealthContext { pods: &pods, ..after(since) };
            let told = check_in(kind, &workload, InProgress, &context(MINUTE)).message;
            assert!(told.contains("(pod p: "), "{told}");
            check_in(kind, &workload, Failed, &context(2 * MINUTE));
        }
    }
}

#[test]
fn pods_of_an_older_template_and_of_others_do_not_fail_a_workload() {
    let trouble = waiting("ImagePullBackOff");
    for (workload, marks) in workloads() {
        let kind = workload["kind"].as_str().expect("a kind");
        let older = Object(pod(trouble.clone()));
        let mut others = of_template(&trouble, &marks);
        others.0["metadata"]["labels"]["app"] = json!("y");
        let mut elsewhere = of_template(&trouble, &marks);
        elsewhere.0["metadata"]["namespace"] = json!("m");
        let mut leaving = of_template(&trouble, &marks);
        leaving.0["metadata"]["deletionTimestamp"] = json!(CREATED);
        let mut evicted = of_template(&trouble, &marks);
        evicted.0["status"]["phase"] = json!("Failed");
        let pods = [older, others, elsewhere, leaving, evicted];
        check_in(kind, &workload, InProgress, &HealthContext { pods: &pods, ..after(5 * MINUTE) });
    }
}

#[test]
fn a_pod_on_a_node_that_is_away_does_not_fail_its_workload() {
    let [_, _, _, (workload, marks)] = workloads();
    let mut away = of_template(&waiting("ImagePullBackOff"), &marks);
    away.0["spec"] = json!({"nodeName": "a"});
    let nodes = [Object(
        json!({"kind": "Node", "metadata": {"name": "a"}, "status": condition("Ready", "Unknown")}),
    )];
    let context = HealthContext { pods: &[away], nodes: &nodes, ..after(5 * MINUTE) };
    check_in("away", &workload, InProgress, &context);
}

#[test]
fn what_is_well_is_not_failed_by_a_pod() {
    let done = object(
        "apps/v1",
        "Deployment",
        json!({"replicas": 0, "selector": {"matchLabels": {"app": "x"}}}),
        json!({"observedGeneration": 2}),
    );
    let pods = [Object(pod(waiting("ImagePullBackOff")))];
    check_in("scaled to zero", &done, Current, &HealthContext { pods: &pods, ..after(5 * MINUTE) });
}

#[test]
fn pods_tell_what_keeps_them() {
    let told = |state| {
        let status = json!({"containerStatuses": [container(state)]});
        check("pod", &pod(status), InProgress).message
    };
    let waiting = |reason| json!({"waiting": {"reason": reason, "message": "no such image"}});
    for (state, wanted) in [
        (json!({"running": {}}), "is not ready yet"),
        (waiting("ContainerCreating"), "is not ready yet"),
        (waiting("ImagePullBackOff"), "main ImagePullBackOff: no such image"),
        (json!({"terminated": {"exitCode": 3}}), "main ended with exit code 3"),
        (json!({"terminated": {"exitCode": 0}}), "is not ready yet"),
    ] {
        assert_eq!(told(state), wanted);
    }
    let told = check("pod", &pod(unschedulable()), InProgress).message;
    assert_eq!(told, "0/1 nodes are available");
}

#[test]
fn a_failed_job_is_explained_by_its_pods() {
    let failed = object("batch/v1", "Job", json!({}), condition("Failed", "True"));
    let mut pod = pod(
        json!({"phase": "Failed", "containerStatuses": [container(json!({"terminated": {"exitCode": 3}}))]}),
    );
    pod["metadata"]["labels"] = json!({"batch.kubernetes.io/job-name": "x"});
    let told =
        check_in("job", &failed, Failed, &HealthContext { pods: &[Object(pod)], ..after(MINUTE) });
    assert_eq!(told.message, "job failed: m (pod p: main ended with exit code 3)");
}
