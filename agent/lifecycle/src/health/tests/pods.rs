//! Pods, and what they add to the health of their workload.

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
    for (case, status, wanted) in [
        ("podNoStatus", json!({}), InProgress),
        ("podReady", condition("Ready", "True"), Current),
        ("running, not ready", condition("Ready", "False"), InProgress),
        ("podCompletedSuccessfully", json!({"phase": "Succeeded"}), Current),
        ("podCompletedFailed", json!({"phase": "Failed"}), Failed),
        ("held back by scheduling gates", gated, InProgress),
    ] {
        check_with(case, &pod(status), wanted, &after(3 * MINUTE));
    }
}

#[test]
fn a_problem_of_a_pod_fails_it_after_its_grace_period() {
    let mut init = json!({"initContainerStatuses": waiting("ErrImagePull")["containerStatuses"]});
    init["phase"] = json!("Pending");
    for (case, status) in [
        ("podUnschedulable", unschedulable()),
        ("podCrashLooping", waiting("CrashLoopBackOff")),
        ("image", waiting("ImagePullBackOff")),
        ("image of an init container", init),
        ("configuration", waiting("CreateContainerConfigError")),
    ] {
        check_with(case, &pod(status.clone()), InProgress, &after(MINUTE));
        check_with(case, &pod(status.clone()), Failed, &after(2 * MINUTE));
        let young = HealthContext { now: time("2026-01-01T12:01:00Z"), ..after(10 * MINUTE) };
        check_with("a young pod", &pod(status.clone()), InProgress, &young);
        let jumped = HealthContext { now: time("2026-01-02T12:00:00Z"), ..after(MINUTE) };
        check_with("the clock jumped", &pod(status), InProgress, &jumped);
    }
    let starting = pod(waiting("ContainerCreating"));
    check_with("starting", &starting, InProgress, &after(10 * MINUTE));
}

#[test]
fn the_caller_sets_the_grace_periods() {
    let long = 10 * MINUTE;
    let graces = Graces { unschedulable: long, ..Graces::default() };
    let patient = HealthContext { graces, ..after(3 * MINUTE) };
    check_with("unschedulable", &pod(unschedulable()), InProgress, &patient);
    check_with("image", &pod(waiting("ErrImagePull")), Failed, &patient);
    let graces = Graces { pod_failure: long, ..Graces::default() };
    let patient = HealthContext { graces, ..after(3 * MINUTE) };
    check_with("image", &pod(waiting("ErrImagePull")), InProgress, &patient);
}

#[test]
fn one_crash_is_not_a_crash_loop() {
    let looping = pod(waiting("CrashLoopBackOff"));
    let with = |field: &str, value: Value| {
        let mut changed = looping.clone();
        changed["status"]["containerStatuses"][0][field] = value;
        changed
    };
    let ran =
        |to: &str| json!({"terminated": {"startedAt": "2026-01-01T12:00:00Z", "finishedAt": to}});
    for (case, object, wanted) in [
        ("the first crash", with("restartCount", json!(0)), InProgress),
        ("the second", with("restartCount", json!(2)), InProgress),
        ("short runs", with("lastState", ran("2026-01-01T12:00:05Z")), Failed),
        ("after a long run", with("lastState", ran("2026-01-01T12:10:00Z")), InProgress),
    ] {
        check_with(case, &object, wanted, &after(5 * MINUTE));
    }
}

/// Workloads that wait for their pods, each with the metadata of a pod of its newest template.
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
fn a_lasting_problem_of_a_pod_fails_its_workload() {
    for (workload, marks) in workloads() {
        let kind = workload["kind"].as_str().expect("a kind");
        for status in [unschedulable(), waiting("CrashLoopBackOff"), waiting("ImagePullBackOff")] {
            let pods = [of_template(&status, &marks)];
            let context = |since_apply| HealthContext { pods: &pods, ..after(since_apply) };
            let message = check_with(kind, &workload, InProgress, &context(MINUTE)).message;
            assert!(message.contains("(pod p: "), "{message}");
            check_with(kind, &workload, Failed, &context(2 * MINUTE));
        }
    }
}

#[test]
fn pods_of_an_older_template_and_foreign_pods_do_not_fail_a_workload() {
    let problem = waiting("ImagePullBackOff");
    for (workload, marks) in workloads() {
        let kind = workload["kind"].as_str().expect("a kind");
        let older = Object(pod(problem.clone()));
        let mut foreign = of_template(&problem, &marks);
        foreign.0["metadata"]["labels"]["app"] = json!("y");
        let mut other_namespace = of_template(&problem, &marks);
        other_namespace.0["metadata"]["namespace"] = json!("m");
        let mut terminating = of_template(&problem, &marks);
        terminating.0["metadata"]["deletionTimestamp"] = json!(CREATED);
        let mut evicted = of_template(&problem, &marks);
        evicted.0["status"]["phase"] = json!("Failed");
        let pods = [older, foreign, other_namespace, terminating, evicted];
        check_with(
            kind,
            &workload,
            InProgress,
            &HealthContext { pods: &pods, ..after(5 * MINUTE) },
        );
    }
}

#[test]
fn a_pod_on_a_node_that_is_not_ready_does_not_fail_its_workload() {
    let [_, _, _, (workload, marks)] = workloads();
    let mut pod = of_template(&waiting("ImagePullBackOff"), &marks);
    pod.0["spec"] = json!({"nodeName": "a"});
    let nodes = [Object(
        json!({"kind": "Node", "metadata": {"name": "a"}, "status": condition("Ready", "Unknown")}),
    )];
    let context = HealthContext { pods: &[pod], nodes: &nodes, ..after(5 * MINUTE) };
    check_with("node is not ready", &workload, InProgress, &context);
}

#[test]
fn no_pod_fails_a_workload_that_is_current() {
    let done = object(
        "apps/v1",
        "Deployment",
        json!({"replicas": 0, "selector": {"matchLabels": {"app": "x"}}}),
        json!({"observedGeneration": 2}),
    );
    let pods = [Object(pod(waiting("ImagePullBackOff")))];
    check_with(
        "scaled to zero",
        &done,
        Current,
        &HealthContext { pods: &pods, ..after(5 * MINUTE) },
    );
}

#[test]
fn a_pod_describes_its_problem() {
    let message = |state| {
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
        assert_eq!(message(state), wanted);
    }
    let message = check("pod", &pod(unschedulable()), InProgress).message;
    assert_eq!(message, "0/1 nodes are available");
}

#[test]
fn a_pod_explains_why_its_job_failed() {
    let failed = object("batch/v1", "Job", json!({}), condition("Failed", "True"));
    let mut pod = pod(
        json!({"phase": "Failed", "containerStatuses": [container(json!({"terminated": {"exitCode": 3}}))]}),
    );
    pod["metadata"]["labels"] = json!({"batch.kubernetes.io/job-name": "x"});
    let health = check_with(
        "job",
        &failed,
        Failed,
        &HealthContext { pods: &[Object(pod)], ..after(MINUTE) },
    );
    assert_eq!(health.message, "job failed: m (pod p: main ended with exit code 3)");
}
