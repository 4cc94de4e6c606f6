//! Pods: their own rule, which of them belong to a workload, and what they add to its health.

use std::collections::BTreeMap;

use super::context::HealthContext;
use super::fields::{append_reason, find_condition, has_true, is_terminating, strings_at, text_at};
use super::pod_problems::{describe_problem, lasting_problem};
use super::status::{Health, HealthStatus};
use crate::kind::KnownKind;
use crate::object::Object;

/// A Pod is `Current` when it is ready or has succeeded, and `Failed` when it failed or a problem has outlasted its grace
/// period.
pub(super) fn assess_pod(object: &Object, context: &HealthContext) -> Health {
    match text_at(object, "/status/phase") {
        "Succeeded" => return Health::current(),
        "Failed" => {
            let reason = text_at(object, "/status/reason");
            return Health::failed(append_reason("pod failed", reason));
        }
        _ if has_true(object, "Ready") => return Health::current(),
        _ => {}
    }
    if let Some(problem) = lasting_problem(object, context) {
        return Health::failed(problem);
    }
    let unready = || Some(find_condition(object, "Ready")?.explain("is not ready"));
    let problem = describe_problem(object).or_else(unready);
    Health::in_progress(problem.unwrap_or_else(|| "is not ready yet".to_owned()))
}

/// Adds to an unhealthy workload the problem of one of its pods, and returns `Failed` if a problem has outlasted its grace
/// period. Only pods of the newest template fail the workload: older ones are removed when these are ready.
pub(super) fn explain_by_pods(object: &Object, health: Health, context: &HealthContext) -> Health {
    if !health.status.is_in_progress_or_failed() {
        return health;
    }
    let (newest, older): (Vec<&Object>, Vec<&Object>) =
        pods_of(object, context.pods).partition(|pod| is_of_newest(object, pod));
    if health.status == HealthStatus::InProgress {
        let mut reachable = newest.iter().filter(|pod| !is_on_unready_node(pod, context.nodes));
        let problem = reachable.find_map(|pod| Some((pod, lasting_problem(pod, context)?)));
        if let Some((pod, problem)) = problem {
            return Health::failed(with_pod(&health, pod, &problem));
        }
    }
    let mut pods = newest.into_iter().chain(older);
    match pods.find_map(|pod| Some((pod, describe_problem(pod)?))) {
        Some((pod, problem)) => Health { message: with_pod(&health, pod, &problem), ..health },
        None => health,
    }
}

fn with_pod(health: &Health, pod: &Object, problem: &str) -> String {
    format!("{} (pod {}: {problem})", health.message, pod.name())
}

/// Label of the pods of a Job: its name.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// Returns the labels by which the pods of an object are found. None for kinds without pods, and for a selector without
/// labels.
pub fn pod_labels(object: &Object) -> Option<BTreeMap<String, String>> {
    let kind = KnownKind::of(object)?;
    let labels = if kind == KnownKind::Job {
        BTreeMap::from([(JOB_NAME.to_owned(), object.name().to_owned())])
    } else if kind.keeps_pods() {
        strings_at(object, "/spec/selector/matchLabels")?
    } else {
        return None;
    };
    Some(labels).filter(|labels| !labels.is_empty())
}

/// The pods of an object that are not being deleted.
pub(super) fn pods_of<'a>(object: &Object, pods: &'a [Object]) -> impl Iterator<Item = &'a Object> {
    let (labels, namespace) = (pod_labels(object), object.namespace().map(str::to_owned));
    pods.iter().filter(move |pod| {
        let is_selected = labels.as_ref().is_some_and(|labels| {
            labels.iter().all(|(name, value)| pod.label(name) == Some(value))
        });
        is_selected && !is_terminating(pod) && pod.namespace() == namespace.as_deref()
    })
}

/// Returns whether a pod is known to be of the object's newest template.
pub(super) fn is_of_newest(object: &Object, pod: &Object) -> bool {
    let owner = text_at(pod, "/metadata/ownerReferences/0/name");
    if object.is(KnownKind::ReplicaSet) {
        owner == object.name()
    } else if object.is(KnownKind::Deployment) {
        // The condition names the ReplicaSet that is rolled out.
        find_condition(object, "Progressing")
            .is_some_and(|progressing| progressing.message.contains(&format!("\"{owner}\"")))
    } else if object.is(KnownKind::StatefulSet) {
        let revision = text_at(object, "/status/updateRevision");
        !revision.is_empty() && pod.label("controller-revision-hash") == Some(revision)
    } else {
        let generation = object.annotation("deprecated.daemonset.template.generation");
        object.is(KnownKind::DaemonSet)
            && generation.is_some()
            && pod.label("pod-template-generation") == generation
    }
}

/// Returns whether the status of a pod may be outdated because its kubelet does not report.
fn is_on_unready_node(pod: &Object, nodes: &[Object]) -> bool {
    nodes.iter().any(|node| node.name() == text_at(pod, "/spec/nodeName") && is_unready_node(node))
}

/// Returns whether a node is NotReady or unreachable.
pub(super) fn is_unready_node(node: &Object) -> bool {
    !has_true(node, "Ready")
}
