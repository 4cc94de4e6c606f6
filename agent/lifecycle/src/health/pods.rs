//! Pods: their own rule, which of them are a workload's, and what their troubles say about it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::fields::{after, condition, field, is_true, map, text, time};
use super::{Graces, Health, HealthContext, HealthStatus};
use crate::object::Object;

/// Waiting for these is how every pod begins.
const BEGINNING: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// Waiting for these ends when somebody mends what is missing.
const STUCK: [&str; 10] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// A container that crashes as it starts comes to its third restart after 70 s of back-off, within the grace. One that
/// crashed once does not loop.
const RESTARTS: u64 = 3;

/// After a run as long as this the kubelet begins its back-off anew.
const LONG_RUN: Duration = Duration::from_secs(600);

pub(super) fn pod(object: &Object, context: &HealthContext) -> Health {
    match text(object, "/status/phase") {
        "Succeeded" => return Health::current(),
        "Failed" => {
            return Health::failed(after("pod failed", text(object, "/status/reason")));
        }
        _ if is_true(object, "Ready") => return Health::current(),
        _ => {}
    }
    if let Some(trouble) = lasting_trouble(object, context) {
        return Health::failed(trouble);
    }
    let told = condition(object, "Ready").map(|ready| ready.after("is not ready"));
    let why = why(object).or(told).unwrap_or_else(|| "is not ready yet".to_owned());
    Health::in_progress(why)
}

/// Adds what its pods say to a workload that is not well, and lets their lasting troubles fail it. Only pods of its
/// newest template count: those before it go when these are there.
pub(super) fn told(object: &Object, health: Health, context: &HealthContext) -> Health {
    let waits = health.status == HealthStatus::InProgress;
    if !waits && health.status != HealthStatus::Failed {
        return health;
    }
    let (newest, older): (Vec<&Object>, Vec<&Object>) =
        of(object, context.pods).partition(|pod| is_newest(object, pod));
    let mut here = newest.iter().filter(|pod| !is_out_of_reach(pod, context.nodes));
    let trouble = here.find_map(|pod| Some(said(pod, &lasting_trouble(pod, context)?)));
    if let Some(trouble) = trouble.filter(|_| waits) {
        return Health::failed(format!("{} ({trouble})", health.message));
    }
    match newest.into_iter().chain(older).find_map(|pod| Some(said(pod, &why(pod)?))) {
        Some(why) => Health { message: format!("{} ({why})", health.message), ..health },
        None => health,
    }
}

fn said(pod: &Object, what: &str) -> String {
    format!("pod {}: {what}", pod.name())
}

/// The labels by which an object's pods are found, for kinds that have pods.
pub fn pod_labels(object: &Object) -> Option<BTreeMap<String, String>> {
    let labels = match (object.group(), object.kind()) {
        ("batch", "Job") => {
            let label = "batch.kubernetes.io/job-name".to_owned();
            BTreeMap::from([(label, object.name().to_owned())])
        }
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") => {
            map(object, "/spec/selector/matchLabels")?
        }
        _ => return None,
    };
    Some(labels).filter(|labels| !labels.is_empty())
}

/// Those of an object that are to stay.
pub(super) fn of<'a>(object: &Object, pods: &'a [Object]) -> impl Iterator<Item = &'a Object> {
    let (labels, namespace) = (pod_labels(object), object.namespace().map(str::to_owned));
    pods.iter().filter(move |pod| {
        let chosen = labels.as_ref().is_some_and(|labels| {
            labels.iter().all(|(name, value)| pod.label(name) == Some(value))
        });
        chosen && !leaves(pod) && pod.namespace() == namespace.as_deref()
    })
}

/// It is being deleted.
pub(super) fn leaves(pod: &Object) -> bool {
    pod.0.pointer("/metadata/deletionTimestamp").is_some()
}

/// A pod of the template that the object has, as far as that can be told.
pub(super) fn is_newest(object: &Object, pod: &Object) -> bool {
    let owner = text(pod, "/metadata/ownerReferences/0/name");
    match object.kind() {
        "ReplicaSet" => owner == object.name(),
        // The condition names the ReplicaSet that is rolled out.
        "Deployment" => condition(object, "Progressing")
            .is_some_and(|progressing| progressing.message.contains(&format!("\"{owner}\""))),
        "StatefulSet" => {
            let revision = Some(text(object, "/status/updateRevision"));
            revision.is_some_and(|revision| !revision.is_empty())
                && pod.label("controller-revision-hash") == revision
        }
        "DaemonSet" => {
            let generation = object.annotation("deprecated.daemonset.template.generation");
            generation.is_some() && pod.label("pod-template-generation") == generation
        }
        _ => false,
    }
}

/// What it says is what was so when its node was last heard of.
fn is_out_of_reach(pod: &Object, nodes: &[Object]) -> bool {
    nodes.iter().any(|node| node.name() == text(pod, "/spec/nodeName") && is_away(node))
}

/// NotReady or unreachable.
pub(super) fn is_away(node: &Object) -> bool {
    !is_true(node, "Ready")
}

/// What keeps a pod from running and has done so for longer than it may.
fn lasting_trouble(pod: &Object, context: &HealthContext) -> Option<String> {
    let phase = text(pod, "/status/phase");
    if is_true(pod, "Ready") || phase == "Succeeded" || phase == "Failed" {
        return None;
    }
    let (trouble, grace) = trouble(pod, &context.graces)?;
    let lasting = context.lasting(time(text(pod, "/metadata/creationTimestamp")));
    (lasting >= grace).then_some(trouble)
}

fn trouble(pod: &Object, graces: &Graces) -> Option<(String, Duration)> {
    if let Some(stuck) = containers(pod).find(|container| is_stuck(container)) {
        return Some((waiting(stuck)?, graces.trouble));
    }
    let placed = condition(pod, "PodScheduled")?;
    (placed.status == "False" && placed.reason == "Unschedulable")
        .then(|| (placed.message.to_owned(), graces.unschedulable))
}

fn is_stuck(container: &Value) -> bool {
    let reason = container.pointer("/state/waiting/reason").and_then(Value::as_str);
    match reason {
        Some("CrashLoopBackOff") => is_loop(container),
        Some(reason) => STUCK.contains(&reason),
        None => false,
    }
}

fn is_loop(container: &Value) -> bool {
    let restarts = container.get("restartCount").and_then(Value::as_u64).unwrap_or(0);
    let last = container.pointer("/lastState/terminated").unwrap_or(&Value::Null);
    let run = time(field(last, "startedAt")).zip(time(field(last, "finishedAt")));
    let run = run.and_then(|(from, to)| Duration::try_from(to.duration_since(from)).ok());
    restarts >= RESTARTS && run.is_none_or(|run| run < LONG_RUN)
}

/// Why a pod does not run, whether that lasts or not.
fn why(pod: &Object) -> Option<String> {
    containers(pod).find_map(of_container).or_else(|| {
        let placed = condition(pod, "PodScheduled")?;
        (placed.status == "False").then(|| placed.message.to_owned())
    })
}

fn of_container(container: &Value) -> Option<String> {
    if let Some(waiting) = waiting(container) {
        return Some(waiting);
    }
    let code = container.pointer("/state/terminated/exitCode")?.as_i64()?;
    (code != 0).then(|| format!("{} ended with exit code {code}", field(container, "name")))
}

fn waiting(container: &Value) -> Option<String> {
    let waiting = container.pointer("/state/waiting")?;
    let (name, reason) = (field(container, "name"), field(waiting, "reason"));
    let begins = reason.is_empty() || BEGINNING.contains(&reason);
    (!begins).then(|| format!("{name} {reason}: {}", field(waiting, "message")))
}

fn containers(pod: &Object) -> impl Iterator<Item = &Value> {
    let of = |pointer| pod.0.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    of("/status/initContainerStatuses").chain(of("/status/containerStatuses"))
}
