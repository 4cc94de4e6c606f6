//! Collects the evidence of a failure before the rollback destroys it: events, pod states and last log lines. It is read as
//! the add-on's account and saved as the agent. It holds what could be read within a few seconds, and names the rest.

mod store;

use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use kube::core::{ApiResource, DynamicObject};
use lifecycle::evidence::{self, LOG_LINES};
use lifecycle::health::{HealthStatus, assess};
use lifecycle::redaction::Redaction;
use lifecycle::{Failure, Object};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use crate::actions::health::{HealthOptions, Unhealthy, list_pods, list_unhealthy};
use crate::actions::release::ResolvedRelease;
use crate::cluster::access::{Access, join_bounded};
use crate::cluster::error;
use crate::cluster::living::to_object;

pub use store::EvidenceStore;

/// The rollback waits no longer than this.
const DEADLINE: Duration = Duration::from_secs(5);

/// A node that is away does not answer for its pods. The rest of the evidence must not be lost for it.
const LOG_TIMEOUT: Duration = Duration::from_secs(2);

const MAX_OBJECTS: usize = 6;
/// Maximum number of pods per object.
const MAX_PODS: usize = 3;
/// Maximum number of events per object or pod.
const MAX_EVENTS: usize = 10;

/// Maximum size of one container's log, before it is cut to lines.
const MAX_LOG_BYTES: i64 = 16 * 1024;

/// Returns the evidence of a failure: a bounded text about the unhealthy objects of a release.
pub async fn collect(
    release: &ResolvedRelease,
    options: &HealthOptions<'_>,
    failure: &Failure,
    redaction: &Redaction,
) -> String {
    let (access, until) = (&release.access, Instant::now() + DEADLINE);
    let affected =
        release.objects.iter().filter(|object| failure.concerns(&object.manifest)).collect();
    let unhealthy = timeout_at(until, list_unhealthy(access, affected, options)).await;
    let unhealthy = unhealthy.unwrap_or_default();
    let parts = unhealthy.iter().take(MAX_OBJECTS);
    let parts = parts.map(|unhealthy| describe_in_time(access, unhealthy, redaction, until));
    evidence::format(failure, &join_bounded(parts).await, redaction)
}

async fn describe_in_time(
    access: &Access,
    unhealthy: &Unhealthy,
    redaction: &Redaction,
    until: Instant,
) -> String {
    let head = format!("{}: {}", unhealthy.key, unhealthy.description);
    let head = evidence::format_line(&head, redaction);
    let lines = timeout_at(until, describe(access, unhealthy, redaction)).await;
    format!("{head}\n{}\n", lines.unwrap_or_else(|_| "not read in time".to_owned()))
}

/// Returns events, pods and logs of one object as lines.
async fn describe(access: &Access, unhealthy: &Unhealthy, redaction: &Redaction) -> String {
    let namespace = unhealthy.key.namespace.as_deref().unwrap_or_default();
    let mut lines = list_events(access, namespace, &unhealthy.key.name, redaction).await;
    let pods = match &unhealthy.living {
        Some(living) => relevant_pods(list_pods(access, living).await),
        None => Vec::new(),
    };
    let pods = pods.iter().map(|pod| describe_pod(access, namespace, pod, redaction));
    lines.extend(join_bounded(pods).await.into_iter().flatten());
    lines.join("\n")
}

/// Returns the newest pods, which belong to the version that failed. Healthy ones do not show why others are not.
fn relevant_pods(mut pods: Vec<Object>) -> Vec<Object> {
    let is_unhealthy = |pod: &Object| assess(pod, Duration::ZERO).status != HealthStatus::Current;
    if pods.iter().any(is_unhealthy) {
        pods.retain(is_unhealthy);
    }
    pods.sort_by(|a, b| creation_time(b).cmp(creation_time(a)));
    pods.truncate(MAX_PODS);
    pods
}

fn creation_time(pod: &Object) -> &str {
    pod.0.pointer("/metadata/creationTimestamp").and_then(Value::as_str).unwrap_or_default()
}

async fn describe_pod(
    access: &Access,
    namespace: &str,
    pod: &Object,
    redaction: &Redaction,
) -> Vec<String> {
    let mut lines = vec![evidence::format_pod(pod, redaction)];
    lines.extend(list_events(access, namespace, pod.name(), redaction).await);
    let pods: Api<Pod> = Api::namespaced(access.client.clone(), namespace);
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let statuses = statuses.iter().filter_map(|pointer| pod.0.pointer(pointer)?.as_array());
    let logs = statuses.flatten().map(|status| read_log(&pods, pod.name(), status, redaction));
    lines.extend(join_bounded(logs).await);
    lines
}

/// Returns the end of a container's log; that of the run before if the container waits for its next.
async fn read_log(pods: &Api<Pod>, pod: &str, status: &Value, redaction: &Redaction) -> String {
    let container = status["name"].as_str().unwrap_or_default();
    let params = LogParams {
        container: Some(container.to_owned()),
        previous: !status["state"]["waiting"].is_null()
            && !status["lastState"]["terminated"].is_null(),
        tail_lines: i64::try_from(LOG_LINES).ok(),
        limit_bytes: Some(MAX_LOG_BYTES),
        ..LogParams::default()
    };
    match timeout(LOG_TIMEOUT, pods.logs(pod, &params)).await {
        Ok(Ok(text)) => {
            format!("  log of {container}:\n{}", evidence::format_log(&text, redaction))
        }
        Ok(Err(error)) => {
            let context = format!("  could not read the log of {container}");
            evidence::format_line(&error::to_fault(&context, &error).message, redaction)
        }
        Err(_) => format!("  could not read the log of {container} in time"),
    }
}

async fn list_events(
    access: &Access,
    namespace: &str,
    name: &str,
    redaction: &Redaction,
) -> Vec<String> {
    // The API server puts events of cluster-scoped objects there.
    let namespace = if namespace.is_empty() { "default" } else { namespace };
    let resource = ApiResource::erase::<Event>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(access.client.clone(), namespace, &resource);
    let params = ListParams::default().fields(&format!("involvedObject.name={name}"));
    match api.list(&params.match_any()).await {
        Ok(list) => {
            let events = list.items.into_iter().map(to_object);
            let mut lines: Vec<String> =
                events.map(|event| evidence::format_event(&event.0, redaction)).collect();
            // They begin with their times.
            lines.sort();
            lines.split_off(lines.len().saturating_sub(MAX_EVENTS))
        }
        Err(error) => {
            let context = format!("could not read the events of {name}");
            vec![evidence::format_line(&error::to_fault(&context, &error).message, redaction)]
        }
    }
}
