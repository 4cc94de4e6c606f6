//! The health of one living object.

use std::time::Duration;

use super::context::HealthContext;
use super::fields::is_terminating;
use super::status::Health;
use super::{builtin, daemon_set, generic, job, pods, workload};
use crate::object::Object;

/// Returns the health of one living object by itself. `since_apply` is the time spent since it was applied.
pub fn assess(object: &Object, since_apply: Duration) -> Health {
    assess_with(object, &HealthContext { since_apply, ..HealthContext::default() })
}

/// Returns the health of one living object, with its pods, the nodes and the clock. The rules are those of kstatus, with the
/// differences in the table of [`crate::health`].
pub fn assess_with(object: &Object, context: &HealthContext) -> Health {
    if is_terminating(object) {
        return Health::terminating();
    }
    if let Some(health) = generic::assess_any_kind(object) {
        return health;
    }
    pods::explain_by_pods(object, assess_by_kind(object, context), context)
}

fn assess_by_kind(object: &Object, context: &HealthContext) -> Health {
    if workload::has_replica_counts(object) && generic::has_no_status(object) {
        return Health::in_progress("has no status yet");
    }
    match (object.group(), object.kind()) {
        ("apps", "Deployment") => workload::assess_deployment(object, context),
        ("apps", "StatefulSet") => workload::assess_stateful_set(object, context),
        ("apps", "DaemonSet") => daemon_set::assess_daemon_set(object, context),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => {
            workload::assess_replica_set(object, context)
        }
        ("", "Pod") => pods::assess_pod(object, context),
        ("batch", "Job") => job::assess_job(object),
        ("", "PersistentVolumeClaim") => builtin::assess_claim(object),
        ("", "PersistentVolume") => builtin::assess_volume(object),
        ("", "Service") => builtin::assess_service(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => builtin::assess_definition(object),
        ("apiregistration.k8s.io", "APIService") => builtin::assess_api_service(object),
        // Current as soon as their generation is observed.
        ("batch", "CronJob") | ("policy", "PodDisruptionBudget") => Health::current(),
        _ => generic::assess_by_ready(object, context),
    }
}
