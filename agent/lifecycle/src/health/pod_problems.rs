//! Problems that keep a pod from running, and for how long they may last.

use std::time::Duration;

use serde_json::Value;

use super::context::{Graces, HealthContext};
use super::fields::{find_condition, has_true, parse_time, text_at, text_field};
use crate::object::Object;

/// Reasons for which every container waits at first.
const STARTING: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// Reasons of the kubelet for which a container waits until somebody provides what is missing.
const BLOCKED: [&str; 10] = [
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

/// A container that crashes as it starts is restarted for the third time after 70 s of back-off, within the grace
/// period. A container that crashed once does not loop.
const MIN_RESTARTS: u64 = 3;

/// The kubelet resets its back-off after a run as long as this.
const BACKOFF_RESET: Duration = Duration::from_secs(600);

/// Returns the problem that keeps a pod from running, if it has lasted for its grace period.
pub(super) fn lasting_problem(pod: &Object, context: &HealthContext) -> Option<String> {
    let phase = text_at(pod, "/status/phase");
    if has_true(pod, "Ready") || phase == "Succeeded" || phase == "Failed" {
        return None;
    }
    let (problem, grace) = find_problem(pod, &context.graces)?;
    let created = parse_time(text_at(pod, "/metadata/creationTimestamp"));
    (context.problem_age(created) >= grace).then_some(problem)
}

/// Returns a problem that does not pass without a change, with its grace period.
fn find_problem(pod: &Object, graces: &Graces) -> Option<(String, Duration)> {
    if let Some(blocked) = container_statuses(pod).find(|container| is_blocked(container)) {
        return Some((describe_waiting(blocked)?, graces.pod_failure));
    }
    let scheduled = find_condition(pod, "PodScheduled")?;
    (scheduled.is_false() && scheduled.reason == "Unschedulable")
        .then(|| (scheduled.message.to_owned(), graces.unschedulable))
}

fn is_blocked(container: &Value) -> bool {
    let reason = container.pointer("/state/waiting/reason").and_then(Value::as_str);
    match reason {
        Some("CrashLoopBackOff") => is_agent_crash_loop(container),
        Some(reason) => BLOCKED.contains(&reason),
        None => false,
    }
}

fn is_agent_crash_loop(container: &Value) -> bool {
    let restarts = container.get("restartCount").and_then(Value::as_u64).unwrap_or(0);
    restarts >= MIN_RESTARTS && last_run(container).is_none_or(|run| run < BACKOFF_RESET)
}

/// The duration of the last run that ended.
fn last_run(container: &Value) -> Option<Duration> {
    let terminated = container.pointer("/lastState/terminated")?;
    let start = parse_time(text_field(terminated, "startedAt"))?;
    let end = parse_time(text_field(terminated, "finishedAt"))?;
    Duration::try_from(end.duration_since(start)).ok()
}

/// Describes why a pod does not run, whether that lasts or not.
pub(super) fn describe_problem(pod: &Object) -> Option<String> {
    container_statuses(pod).find_map(describe_container).or_else(|| {
        let scheduled = find_condition(pod, "PodScheduled")?;
        scheduled.is_false().then(|| scheduled.message.to_owned())
    })
}

fn describe_container(container: &Value) -> Option<String> {
    if let Some(waiting) = describe_waiting(container) {
        return Some(waiting);
    }
    let code = container.pointer("/state/terminated/exitCode")?.as_i64()?;
    (code != 0).then(|| format!("{} ended with exit code {code}", text_field(container, "name")))
}

fn describe_waiting(container: &Value) -> Option<String> {
    let waiting = container.pointer("/state/waiting")?;
    let (name, reason) = (text_field(container, "name"), text_field(waiting, "reason"));
    let is_starting = reason.is_empty() || STARTING.contains(&reason);
    (!is_starting).then(|| format!("{name} {reason}: {}", text_field(waiting, "message")))
}

fn container_statuses(pod: &Object) -> impl Iterator<Item = &Value> {
    let list = |pointer| pod.0.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    list("/status/initContainerStatuses").chain(list("/status/containerStatuses"))
}
