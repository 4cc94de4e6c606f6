//! Keeps what is to be seen of a failure in a ConfigMap, before the way back destroys it. Read as the add-on's account,
//! written as the agent. As much as is there within a few seconds; what may not be read is said so.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, LogParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use lifecycle::Failure;
use lifecycle::evidence::{self, LOG_LINES};
use lifecycle::health::{HealthStatus, assess};
use lifecycle::names::{FIELD_MANAGER, annotation, label};
use lifecycle::redaction::Redaction;
use lifecycle::{Fault, Object};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use crate::actions::health::{self, Terms, Unwell};
use crate::cluster::access::{Access, each};
use crate::cluster::error;
use crate::cluster::resolved::ResolvedObject;

/// The way back waits no longer.
const DEADLINE: Duration = Duration::from_secs(5);

/// A node that is away does not answer for its pods; what else there is must not be lost for it.
const LOG_PATIENCE: Duration = Duration::from_secs(2);

/// Objects, pods of each, and events of each that are kept.
const MOST_OBJECTS: usize = 6;
const MOST_PODS: usize = 3;
const MOST_EVENTS: usize = 10;

/// Of one container's log, before it is cut to lines.
const LOG_BYTES: i64 = 16 * 1024;

/// The evidence of one add-on.
pub struct Store {
    maps: Api<ConfigMap>,
    add_on: String,
}

impl Store {
    pub fn new(client: Client, namespace: &str, add_on: &str) -> Self {
        Self { maps: Api::namespaced(client, namespace), add_on: add_on.to_owned() }
    }

    /// Saves one, and forgets all but the newest few; returns its name.
    pub async fn save(&self, failure: &Failure, text: String) -> Result<String, Fault> {
        let name = evidence::config_map_name(&self.add_on, failure.sequence);
        let sequence = failure.sequence.to_string();
        let map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "labels": {label::ADD_ON: self.add_on, label::EVIDENCE: sequence},
                "annotations": {annotation::VERSION: failure.release.version.to_string()},
            },
            "data": {"evidence.txt": text},
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let saved = self.maps.patch(&name, &params, &Patch::Apply(map)).await;
        saved.map_err(|e| error::to_fault("the evidence could not be saved", &e))?;
        let outdated = evidence::outdated(self.list().await?);
        self.remove(outdated).await?;
        Ok(name)
    }

    /// Forgets all.
    pub async fn clear(&self) -> Result<(), Fault> {
        let all = self.list().await?;
        self.remove(all.into_iter().map(|(name, _)| name).collect()).await
    }

    async fn list(&self) -> Result<Vec<(String, u64)>, Fault> {
        let selector = format!("{}={},{}", label::ADD_ON, self.add_on, label::EVIDENCE);
        let found = self.maps.list_metadata(&ListParams::default().labels(&selector)).await;
        let found = found.map_err(|e| error::to_fault("the evidence could not be listed", &e))?;
        let named = found.items.into_iter().filter_map(|map| {
            let sequence = map.metadata.labels?.get(label::EVIDENCE)?.parse().ok()?;
            Some((map.metadata.name?, sequence))
        });
        Ok(named.collect())
    }

    async fn remove(&self, names: Vec<String>) -> Result<(), Fault> {
        for name in names {
            match self.maps.delete(&name, &DeleteParams::default()).await {
                Ok(_) => {}
                Err(error) if error::is_absent(&error, &name) => {}
                Err(error) => {
                    return Err(error::to_fault("old evidence could not be removed", &error));
                }
            }
        }
        Ok(())
    }
}

/// What is to be seen of the objects of a release that are not well.
pub async fn collect(
    access: &Access<'_>,
    release: &[ResolvedObject],
    terms: &Terms<'_>,
    failure: &Failure,
    redaction: &Redaction,
) -> String {
    let until = Instant::now() + DEADLINE;
    let about = release.iter().filter(|placed| failure.concerns(&placed.object));
    let about: Vec<ResolvedObject> = about.cloned().collect();
    let looked = timeout_at(until, health::unwell(access, &about, terms)).await.unwrap_or_default();
    let mut parts = Vec::new();
    for unwell in looked.iter().take(MOST_OBJECTS) {
        parts.push(part(access, unwell, redaction, until));
    }
    evidence::format(failure, &each(parts).await, redaction)
}

async fn part(
    access: &Access<'_>,
    unwell: &Unwell,
    redaction: &Redaction,
    until: Instant,
) -> String {
    let head = evidence::format_line(&format!("{}: {}", unwell.key, unwell.said), redaction);
    let lines = timeout_at(until, of_object(access, unwell, redaction)).await;
    format!("{head}\n{}\n", lines.unwrap_or_else(|_| "not read in time".to_owned()))
}

/// Events, pods and logs of one object, in lines. Also for a Job whose failure is not a rollout's.
pub async fn of_object(access: &Access<'_>, unwell: &Unwell, redaction: &Redaction) -> String {
    let namespace = unwell.key.namespace.as_deref().unwrap_or_default();
    let mut lines = events(access, namespace, &unwell.key.name, redaction).await;
    let mut pods = match &unwell.living {
        Some(living) => health::pods(access, living).await,
        None => Vec::new(),
    };
    // Those that are well say nothing of why others are not.
    let is_unwell = |pod: &Object| assess(pod, Duration::ZERO).status != HealthStatus::Current;
    if pods.iter().any(is_unwell) {
        pods.retain(is_unwell);
    }
    // The newest tell of the version that failed.
    pods.sort_by(|a, b| made(b).cmp(made(a)));
    let mut parts = Vec::new();
    for pod in pods.iter().take(MOST_PODS) {
        parts.push(of_pod(access, namespace, pod, redaction));
    }
    lines.extend(each(parts).await.into_iter().flatten());
    lines.join("\n")
}

fn made(pod: &Object) -> &str {
    pod.0.pointer("/metadata/creationTimestamp").and_then(Value::as_str).unwrap_or_default()
}

async fn of_pod(
    access: &Access<'_>,
    namespace: &str,
    pod: &Object,
    redaction: &Redaction,
) -> Vec<String> {
    let mut lines = vec![evidence::format_pod(pod, redaction)];
    lines.extend(events(access, namespace, pod.name(), redaction).await);
    let pods: Api<Pod> = Api::namespaced(access.client.clone(), namespace);
    let mut logs = Vec::new();
    for pointer in ["/status/initContainerStatuses", "/status/containerStatuses"] {
        let statuses = pod.0.pointer(pointer).and_then(Value::as_array);
        for status in statuses.into_iter().flatten() {
            logs.push(log(&pods, pod.name(), status, redaction));
        }
    }
    lines.extend(each(logs).await);
    lines
}

/// Of the run that ended, where the container waits for its next.
async fn log(pods: &Api<Pod>, pod: &str, status: &Value, redaction: &Redaction) -> String {
    let container = status["name"].as_str().unwrap_or_default();
    let params = LogParams {
        container: Some(container.to_owned()),
        previous: !status["state"]["waiting"].is_null()
            && !status["lastState"]["terminated"].is_null(),
        tail_lines: i64::try_from(LOG_LINES).ok(),
        limit_bytes: Some(LOG_BYTES),
        ..LogParams::default()
    };
    let failed = |error: &kube::Error| {
        error::to_fault(&format!("  log of {container} could not be read"), error).message
    };
    match timeout(LOG_PATIENCE, pods.logs(pod, &params)).await {
        Ok(Ok(text)) => {
            format!("  log of {container}:\n{}", evidence::format_log(&text, redaction))
        }
        Ok(Err(error)) => evidence::format_line(&failed(&error), redaction),
        Err(_) => format!("  log of {container} could not be read in time"),
    }
}

async fn events(
    access: &Access<'_>,
    namespace: &str,
    name: &str,
    redaction: &Redaction,
) -> Vec<String> {
    let resource = ApiResource::erase::<Event>(&());
    let api: Api<DynamicObject> = match namespace {
        // Where the API server puts events of what has no namespace.
        "" => Api::namespaced_with(access.client.clone(), "default", &resource),
        namespace => Api::namespaced_with(access.client.clone(), namespace, &resource),
    };
    let about = ListParams::default().fields(&format!("involvedObject.name={name}"));
    match api.list(&about.match_any()).await {
        Ok(found) => {
            let events =
                found.items.into_iter().filter_map(|event| serde_json::to_value(event).ok());
            let mut lines: Vec<String> =
                events.map(|it| evidence::format_event(&it, redaction)).collect();
            // They begin with their times.
            lines.sort();
            lines.split_off(lines.len().saturating_sub(MOST_EVENTS))
        }
        Err(error) => {
            let why = error::to_fault(&format!("events of {name} could not be read"), &error);
            vec![evidence::format_line(&why.message, redaction)]
        }
    }
}
