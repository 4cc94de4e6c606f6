//! Is it well? Living object in, verdict out, by the rules of kstatus.
//!
//! Two of its mistakes are mended here: conditions of an older generation never count, and a custom resource without
//! status is InProgress for a while instead of Current.

mod batch;
mod workload;

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::object::Object;
use crate::plan::is_built_in;

/// How long a custom resource may be without status before it counts as one that never has any.
pub const STATUS_GRACE: Duration = Duration::from_secs(30);

/// kstatus' words.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthStatus {
    Current,
    InProgress,
    Failed,
    Terminating,
    NotFound,
    Unknown,
}

#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Health {
    pub status: HealthStatus,
    pub message: String,
}

impl Health {
    pub fn current() -> Self {
        Self { status: HealthStatus::Current, message: String::new() }
    }

    pub fn in_progress(message: impl Into<String>) -> Self {
        Self { status: HealthStatus::InProgress, message: message.into() }
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self { status: HealthStatus::Failed, message: message.into() }
    }

    pub fn not_found() -> Self {
        Self { status: HealthStatus::NotFound, message: "does not exist".to_owned() }
    }

    /// It could not be looked at.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self { status: HealthStatus::Unknown, message: message.into() }
    }

    fn current_when(is_current: bool, otherwise: impl FnOnce() -> String) -> Self {
        if is_current { Self::current() } else { Self::in_progress(otherwise()) }
    }
}

/// The health of one living object. `since` is the time spent since it was applied.
pub fn assess(object: &Object, since: Duration) -> Health {
    if object.0.pointer("/metadata/deletionTimestamp").is_some() {
        return Health {
            status: HealthStatus::Terminating,
            message: "is being deleted".to_owned(),
        };
    }
    if let Some(behind) = behind(object) {
        return behind;
    }
    match (object.group(), object.kind()) {
        ("apps", "Deployment") => workload::deployment(object),
        ("apps", "StatefulSet") => workload::stateful_set(object),
        ("apps", "DaemonSet") => workload::daemon_set(object),
        ("apps", "ReplicaSet") => workload::replica_set(object),
        ("", "Pod") => workload::pod(object),
        ("batch", "Job") => batch::job(object),
        ("batch", "CronJob") => Health::current(),
        ("", "PersistentVolumeClaim") => claim(object),
        ("policy", "PodDisruptionBudget") => budget(object),
        ("", "Service") => service(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        ("apiregistration.k8s.io", "APIService") => api_service(object),
        (group, _) => generic(object, is_built_in(group), since),
    }
}

/// The status speaks of an older generation than the object's.
fn behind(object: &Object) -> Option<Health> {
    let observed = number(object, "/status/observedGeneration")?;
    let generation = number(object, "/metadata/generation")?;
    (observed < generation).then(|| {
        Health::in_progress(format!("generation {generation}, of which {observed} is observed"))
    })
}

fn claim(object: &Object) -> Health {
    let phase = text(object, "/status/phase");
    Health::current_when(phase == "Bound", || format!("is {}", or_unknown(phase)))
}

fn budget(object: &Object) -> Health {
    let (healthy, wanted) =
        (count(object, "/status/currentHealthy"), count(object, "/status/desiredHealthy"));
    Health::current_when(healthy >= wanted, || format!("{healthy} of {wanted} pods healthy"))
}

fn service(object: &Object) -> Health {
    let waits =
        text(object, "/spec/type") == "LoadBalancer" && text(object, "/spec/clusterIP").is_empty();
    Health::current_when(!waits, || "has no cluster IP yet".to_owned())
}

fn definition(object: &Object) -> Health {
    if let Some(refused) = condition(object, "NamesAccepted").filter(|c| c.status == "False") {
        return Health::failed(format!("names are not accepted: {}", refused.message));
    }
    let established = condition(object, "Established").is_some_and(|c| c.status == "True");
    Health::current_when(established, || "is not established yet".to_owned())
}

fn api_service(object: &Object) -> Health {
    match condition(object, "Available") {
        Some(c) if c.status == "True" => Health::current(),
        Some(c) => Health::in_progress(format!("is not available: {}", c.message)),
        None => Health::in_progress("is not available yet"),
    }
}

fn generic(object: &Object, built_in: bool, since: Duration) -> Health {
    if object.0.get("status").is_none() && !built_in && since < STATUS_GRACE {
        return Health::in_progress("has no status yet");
    }
    if let Some(stalled) = condition(object, "Stalled").filter(|c| c.status == "True") {
        return Health::failed(stalled.message.to_owned());
    }
    if let Some(reconciling) = condition(object, "Reconciling").filter(|c| c.status == "True") {
        return Health::in_progress(reconciling.message.to_owned());
    }
    match condition(object, "Ready") {
        Some(ready) if ready.status != "True" => {
            Health::in_progress(format!("is not ready: {}", ready.message))
        }
        _ => Health::current(),
    }
}

/// A condition as its writer left it.
pub(crate) struct Condition<'a> {
    pub status: &'a str,
    pub reason: &'a str,
    pub message: &'a str,
}

/// A condition, unless it speaks of an older generation.
pub(crate) fn condition<'a>(object: &'a Object, kind: &str) -> Option<Condition<'a>> {
    let generation = number(object, "/metadata/generation").unwrap_or(0);
    let conditions = object.0.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|condition| field(condition, "type") == kind)?;
    let observed = found.get("observedGeneration").and_then(Value::as_i64);
    if observed.is_some_and(|observed| observed < generation) {
        return None;
    }
    Some(Condition {
        status: field(found, "status"),
        reason: field(found, "reason"),
        message: field(found, "message"),
    })
}

fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn text<'a>(object: &'a Object, pointer: &str) -> &'a str {
    object.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn number(object: &Object, pointer: &str) -> Option<i64> {
    object.0.pointer(pointer).and_then(Value::as_i64)
}

pub(crate) fn count(object: &Object, pointer: &str) -> i64 {
    number(object, pointer).unwrap_or(0)
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "of unknown phase" } else { text }
}

/// The health of a release: of all its objects together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Healthy,
    /// Not yet; what is awaited.
    Awaited(String),
    /// An object says it failed, in its own words.
    Failed(String),
}

/// One verdict for many objects: the first failure decides, then the first that is awaited.
pub fn verdict<'a>(healths: impl IntoIterator<Item = (&'a Object, Health)>) -> Verdict {
    let mut awaited = Vec::new();
    for (object, health) in healths {
        let said = || format!("{}: {}", object.key(), health.message);
        match health.status {
            HealthStatus::Current => {}
            HealthStatus::Failed => return Verdict::Failed(said()),
            HealthStatus::InProgress
            | HealthStatus::Terminating
            | HealthStatus::NotFound
            | HealthStatus::Unknown => awaited.push(said()),
        }
    }
    match awaited.len() {
        0 => Verdict::Healthy,
        1 => Verdict::Awaited(awaited.remove(0)),
        more => Verdict::Awaited(format!("{} (and {} more)", awaited.remove(0), more - 1)),
    }
}

#[cfg(test)]
mod tests;
