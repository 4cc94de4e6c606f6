//! Deployments, StatefulSets, ReplicaSets and ReplicationControllers: kinds whose controller counts replicas.

use super::context::HealthContext;
use super::fields::{Condition, count_at, find_condition, number_at, text_at};
use super::status::{Health, HealthStatus};
use crate::object::Object;

/// A Deployment is `Failed` when its progress deadline is exceeded since the apply, or when pods are refused for longer
/// than the grace period. Otherwise its counts decide.
pub(super) fn assess_deployment(object: &Object, context: &HealthContext) -> Health {
    if let Some(progressing) = find_condition(object, "Progressing")
        && progressing.reason == "ProgressDeadlineExceeded"
        && !context.predates_apply(progressing.updated)
    {
        return Health::failed(progressing.message_or("its progress deadline is exceeded"));
    }
    let health = assess_deployment_counts(object);
    match find_refusal(object) {
        Some(refusal) if health.status == HealthStatus::InProgress => {
            assess_refusal(&health.message, &refusal, context)
        }
        _ => health,
    }
}

fn assess_deployment_counts(object: &Object) -> Health {
    let desired = desired_replicas(object);
    let counts = [
        ("updated", count_at(object, "/status/updatedReplicas")),
        ("ready", count_at(object, "/status/readyReplicas")),
        ("available", count_at(object, "/status/availableReplicas")),
    ];
    if let Some(shortage) = describe_shortage(desired, counts) {
        return Health::in_progress(shortage);
    }
    match (describe_surplus(object, desired), find_condition(object, "Available")) {
        (None, Some(available)) if !available.is_true() => {
            Health::in_progress(available.explain("is not available"))
        }
        (None, _) => Health::current(),
        (Some(surplus), _) => Health::in_progress(surplus),
    }
}

/// A ReplicaSet or ReplicationController is `Current` when all its pods are labelled, ready and available.
pub(super) fn assess_replica_set(object: &Object, context: &HealthContext) -> Health {
    let desired = desired_replicas(object);
    let counts = [
        ("labelled", count_at(object, "/status/fullyLabeledReplicas")),
        ("ready", count_at(object, "/status/readyReplicas")),
        ("available", count_at(object, "/status/availableReplicas")),
    ];
    let shortage = describe_shortage(desired, counts);
    match (shortage.or_else(|| describe_surplus(object, desired)), find_refusal(object)) {
        (Some(message), Some(refusal)) => assess_refusal(&message, &refusal, context),
        (Some(message), None) => Health::in_progress(message),
        (None, Some(refusal)) => Health::in_progress(refusal.message_or("pods are refused")),
        (None, None) => Health::current(),
    }
}

/// Returns the condition by which a controller reports that a quota, Pod Security or a webhook refuses its pods.
fn find_refusal(object: &Object) -> Option<Condition<'_>> {
    find_condition(object, "ReplicaFailure").filter(|condition| condition.is_true())
}

/// Returns `Failed` once pods were refused for longer than the grace period, `InProgress` until then.
fn assess_refusal(shortage: &str, refusal: &Condition, context: &HealthContext) -> Health {
    let message = format!("{shortage} ({})", refusal.message_or("pods are refused"));
    if context.problem_age(refusal.updated) >= context.graces.pod_failure {
        return Health::failed(message);
    }
    Health::in_progress(message)
}

/// Describes the first count that is below the desired one.
fn describe_shortage<'a>(
    desired: i64,
    counts: impl IntoIterator<Item = (&'a str, i64)>,
) -> Option<String> {
    let (what, count) = counts.into_iter().find(|(_, count)| *count < desired)?;
    Some(format!("{count} of {desired} replicas {what}"))
}

/// Describes pods of an older template that still run. Those of a Deployment stay until the new ones are available.
fn describe_surplus(object: &Object, desired: i64) -> Option<String> {
    let surplus = count_at(object, "/status/replicas") - desired;
    let unavailable = count_at(object, "/status/unavailableReplicas");
    if surplus > 0 && unavailable > 0 {
        return Some(format!("{unavailable} new replicas not available"));
    }
    (surplus > 0).then(|| format!("{surplus} old replicas pending termination"))
}

/// A StatefulSet is `Current` when all its pods are ready and of the newest revision, or as many as its partition asks
/// for. With `minReadySeconds` they have to be available. With `OnDelete` pods are updated when they are deleted.
pub(super) fn assess_stateful_set(object: &Object, context: &HealthContext) -> Health {
    let desired = desired_replicas(object);
    let has_min_ready = count_at(object, "/spec/minReadySeconds") > 0;
    let ready = ("ready", count_at(object, "/status/readyReplicas"));
    let available = ("available", count_at(object, "/status/availableReplicas"));
    let counts = [ready].into_iter().chain(has_min_ready.then_some(available));
    let shortage = describe_shortage(desired, counts);
    if let Some(message) = shortage.or_else(|| describe_surplus(object, desired)) {
        return Health::in_progress(message);
    }
    if text_at(object, "/spec/updateStrategy/type") == "OnDelete" {
        return assess_on_delete(updated_replicas(object), desired, context);
    }
    assess_revision(object, desired)
}

fn assess_revision(object: &Object, desired: i64) -> Health {
    let partition = count_at(object, "/spec/updateStrategy/rollingUpdate/partition");
    let (updated, required) = (updated_replicas(object), desired - partition);
    if updated < required {
        return Health::in_progress(format!("{updated} of {required} replicas updated"));
    }
    let (current, update) = revisions(object);
    let is_everywhere = partition > 0 || current == update;
    Health::current_if(is_everywhere, || format!("not all replicas are of revision {update} yet"))
}

/// The replicas of a StatefulSet that are of the newest revision. With one revision only, the current replicas are the
/// updated ones.
pub(super) fn updated_replicas(object: &Object) -> i64 {
    let (current, update) = revisions(object);
    let count = if current == update { count_at(object, "/status/currentReplicas") } else { 0 };
    count_at(object, "/status/updatedReplicas").max(count)
}

fn revisions(object: &Object) -> (&str, &str) {
    (text_at(object, "/status/currentRevision"), text_at(object, "/status/updateRevision"))
}

/// Assesses a workload with `OnDelete`, all of whose pods are ready. Its pods are replaced when somebody deletes them:
/// an operator begins at once and gets a grace period. Without one, waiting would only end in a rollback, so the pods
/// that run count.
pub(super) fn assess_on_delete(updated: i64, desired: i64, context: &HealthContext) -> Health {
    if updated >= desired {
        return Health::current();
    }
    let message =
        format!("{updated} of {desired} pods updated, the others when they are deleted (OnDelete)");
    if context.since_apply < context.graces.on_delete {
        return Health::in_progress(message);
    }
    Health::current_with(message)
}

/// The number of replicas that the spec asks for. Kubernetes' default is one.
pub(super) fn desired_replicas(object: &Object) -> i64 {
    number_at(object, "/spec/replicas").unwrap_or(1)
}
