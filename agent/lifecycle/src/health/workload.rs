//! Deployments, StatefulSets, ReplicaSets and ReplicationControllers.

use super::fields::{Condition, condition, count, number, text};
use super::{Health, HealthContext, HealthStatus};
use crate::object::Object;

/// Its health is the numbers of its replicas, which its controller counts.
pub(super) fn is_counted(object: &Object) -> bool {
    let kinds = ["Deployment", "StatefulSet", "ReplicaSet"];
    object.group() == "apps" && kinds.contains(&object.kind())
        || (object.group(), object.kind()) == ("", "ReplicationController")
}

pub(super) fn deployment(object: &Object, context: &HealthContext) -> Health {
    if let Some(late) = condition(object, "Progressing")
        && late.reason == "ProgressDeadlineExceeded"
        && !context.predates(late.at)
    {
        return Health::failed(late.or("its progress deadline is exceeded"));
    }
    let health = deployed(object);
    match refusal(object) {
        Some(refusal) if health.status == HealthStatus::InProgress => {
            refused(&health.message, &refusal, context)
        }
        _ => health,
    }
}

fn deployed(object: &Object) -> Health {
    let wanted = replicas(object);
    let counts = [
        ("updated", count(object, "/status/updatedReplicas")),
        ("ready", count(object, "/status/readyReplicas")),
        ("available", count(object, "/status/availableReplicas")),
    ];
    if let Some(short) = short(wanted, counts) {
        return Health::in_progress(short);
    }
    match (surplus(object, wanted), condition(object, "Available")) {
        (None, Some(available)) if available.status != "True" => {
            Health::in_progress(available.after("is not available"))
        }
        (None, _) => Health::current(),
        (Some(surplus), _) => Health::in_progress(surplus),
    }
}

pub(super) fn replica_set(object: &Object, context: &HealthContext) -> Health {
    let wanted = replicas(object);
    let counts = [
        ("labelled", count(object, "/status/fullyLabeledReplicas")),
        ("ready", count(object, "/status/readyReplicas")),
        ("available", count(object, "/status/availableReplicas")),
    ];
    match (short(wanted, counts).or_else(|| surplus(object, wanted)), refusal(object)) {
        (Some(short), Some(refusal)) => refused(&short, &refusal, context),
        (Some(short), None) => Health::in_progress(short),
        (None, Some(refusal)) => Health::in_progress(refusal.or("pods are refused")),
        (None, None) => Health::current(),
    }
}

/// Pods that a quota, Pod Security or a webhook keeps from being made.
fn refusal(object: &Object) -> Option<Condition<'_>> {
    condition(object, "ReplicaFailure").filter(|condition| condition.status == "True")
}

fn refused(short: &str, refusal: &Condition, context: &HealthContext) -> Health {
    let message = format!("{short} ({})", refusal.or("pods are refused"));
    if context.lasting(refusal.at) >= context.graces.trouble {
        return Health::failed(message);
    }
    Health::in_progress(message)
}

fn short<'a>(wanted: i64, counts: impl IntoIterator<Item = (&'a str, i64)>) -> Option<String> {
    let (what, have) = counts.into_iter().find(|(_, have)| *have < wanted)?;
    Some(format!("{have} of {wanted} replicas {what}"))
}

/// Pods of an earlier template still run; those of a Deployment stay until the new ones are available.
fn surplus(object: &Object, wanted: i64) -> Option<String> {
    let extra = count(object, "/status/replicas") - wanted;
    let unavailable = count(object, "/status/unavailableReplicas");
    if extra > 0 && unavailable > 0 {
        return Some(format!("{unavailable} new replicas not available"));
    }
    (extra > 0).then(|| format!("{extra} old replicas pending termination"))
}

pub(super) fn stateful_set(object: &Object, context: &HealthContext) -> Health {
    let wanted = replicas(object);
    let ripens = count(object, "/spec/minReadySeconds") > 0;
    let ready = ("ready", count(object, "/status/readyReplicas"));
    let available = ("available", count(object, "/status/availableReplicas"));
    if let Some(short) = short(wanted, [ready].into_iter().chain(ripens.then_some(available))) {
        return Health::in_progress(short);
    }
    if let Some(surplus) = surplus(object, wanted) {
        return Health::in_progress(surplus);
    }
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return left_to_others(updated(object), wanted, context);
    }
    rolled(object, wanted)
}

fn rolled(object: &Object, wanted: i64) -> Health {
    let partition = count(object, "/spec/updateStrategy/rollingUpdate/partition");
    let (updated, due) = (updated(object), wanted - partition);
    if updated < due {
        return Health::in_progress(format!("{updated} of {due} replicas updated"));
    }
    let (now, next) = revisions(object);
    let everywhere = partition > 0 || now == next;
    Health::current_when(everywhere, || format!("revision {next} is not everywhere yet"))
}

/// With one revision only, the current replicas are the updated ones.
pub(super) fn updated(object: &Object) -> i64 {
    let (now, next) = revisions(object);
    let current = if now == next { count(object, "/status/currentReplicas") } else { 0 };
    count(object, "/status/updatedReplicas").max(current)
}

fn revisions(object: &Object) -> (&str, &str) {
    (text(object, "/status/currentRevision"), text(object, "/status/updateRevision"))
}

/// With `OnDelete` pods are replaced when somebody deletes them. An operator does so at once, so it gets a grace; where
/// nobody does, waiting would only end in going back, so the pods that run count then.
pub(super) fn left_to_others(updated: i64, wanted: i64, context: &HealthContext) -> Health {
    if updated >= wanted {
        return Health::current();
    }
    let told = format!("{updated} of {wanted} pods updated, the others when they are deleted");
    if context.since < context.graces.on_delete {
        return Health::in_progress(told);
    }
    Health::current_but(told)
}

/// Kubernetes' own default is one.
pub(super) fn replicas(object: &Object) -> i64 {
    number(object, "/spec/replicas").unwrap_or(1)
}
