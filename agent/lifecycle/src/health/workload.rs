//! Deployments, StatefulSets, DaemonSets, ReplicaSets and pods.

use super::{Condition, Health, condition, count, number, text};
use crate::object::Object;

pub(super) fn deployment(object: &Object) -> Health {
    let wanted = replicas(object);
    let progressing = condition(object, "Progressing");
    if let Some(Condition { reason: "ProgressDeadlineExceeded", message, .. }) = progressing {
        return Health::failed(message.to_owned());
    }
    let refused = condition(object, "ReplicaFailure").filter(|c| c.status == "True");
    let because = refused.map(|c| format!(" ({})", c.message)).unwrap_or_default();
    let counts = [
        ("updated", count(object, "/status/updatedReplicas")),
        ("ready", count(object, "/status/readyReplicas")),
        ("available", count(object, "/status/availableReplicas")),
    ];
    if let Some((what, have)) = counts.into_iter().find(|(_, have)| *have < wanted) {
        return Health::in_progress(format!("{have} of {wanted} replicas {what}{because}"));
    }
    surplus(object, wanted)
}

pub(super) fn replica_set(object: &Object) -> Health {
    let wanted = replicas(object);
    if let Some(refused) = condition(object, "ReplicaFailure").filter(|c| c.status == "True") {
        return Health::in_progress(refused.message.to_owned());
    }
    let ready = count(object, "/status/readyReplicas");
    if ready < wanted {
        return Health::in_progress(format!("{ready} of {wanted} replicas ready"));
    }
    surplus(object, wanted)
}

/// Pods of an earlier template still run; those of a Deployment stay until the new ones are available.
fn surplus(object: &Object, wanted: i64) -> Health {
    let extra = count(object, "/status/replicas") - wanted;
    let unavailable = count(object, "/status/unavailableReplicas");
    if extra > 0 && unavailable > 0 {
        return Health::in_progress(format!("{unavailable} new replicas not available"));
    }
    Health::current_when(extra <= 0, || format!("{extra} old replicas pending termination"))
}

pub(super) fn stateful_set(object: &Object) -> Health {
    let wanted = replicas(object);
    let ready = count(object, "/status/readyReplicas");
    if ready < wanted {
        return Health::in_progress(format!("{ready} of {wanted} replicas ready"));
    }
    // With OnDelete nobody but a person replaces pods: waiting for it would never end.
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return surplus(object, wanted);
    }
    let partition = count(object, "/spec/updateStrategy/rollingUpdate/partition");
    let (updated, due) = (count(object, "/status/updatedReplicas"), wanted - partition);
    if updated < due {
        return Health::in_progress(format!("{updated} of {due} replicas updated"));
    }
    let (now, next) =
        (text(object, "/status/currentRevision"), text(object, "/status/updateRevision"));
    if partition == 0 && now != next {
        return Health::in_progress(format!("revision {next} is not everywhere yet"));
    }
    surplus(object, wanted)
}

pub(super) fn daemon_set(object: &Object) -> Health {
    if number(object, "/status/observedGeneration").is_none() {
        return Health::in_progress("is not observed yet");
    }
    let wanted = count(object, "/status/desiredNumberScheduled");
    let counts = [
        ("scheduled", count(object, "/status/currentNumberScheduled")),
        ("updated", count(object, "/status/updatedNumberScheduled")),
        ("available", count(object, "/status/numberAvailable")),
        ("ready", count(object, "/status/numberReady")),
    ];
    match counts.into_iter().find(|(_, have)| *have < wanted) {
        Some((what, have)) => Health::in_progress(format!("{have} of {wanted} pods {what}")),
        None => Health::current(),
    }
}

pub(super) fn pod(object: &Object) -> Health {
    match text(object, "/status/phase") {
        "Succeeded" => Health::current(),
        "Failed" => Health::failed(format!("pod failed: {}", text(object, "/status/reason"))),
        _ => match condition(object, "Ready") {
            Some(ready) if ready.status == "True" => Health::current(),
            Some(ready) => Health::in_progress(format!("is not ready: {}", ready.message)),
            None => Health::in_progress("is not ready yet"),
        },
    }
}

/// Kubernetes' own default is one.
fn replicas(object: &Object) -> i64 {
    number(object, "/spec/replicas").unwrap_or(1)
}
