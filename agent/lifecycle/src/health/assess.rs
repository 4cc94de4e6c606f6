//! The health of one living object.

use std::time::Duration;

use super::context::HealthContext;
use super::fields::is_terminating;
use super::status::Health;
use super::{builtin, daemon_set, generic, job, pods, workload};
use crate::kind::KnownKind;
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
    let Some(kind) = KnownKind::of(object) else {
        return generic::assess_by_ready(object, context);
    };
    if kind.has_replicas() && generic::has_no_status(object) {
        return Health::in_progress("has no status yet");
    }
    match kind {
        KnownKind::Deployment => workload::assess_deployment(object, context),
        KnownKind::StatefulSet => workload::assess_stateful_set(object, context),
        KnownKind::DaemonSet => daemon_set::assess_daemon_set(object, context),
        KnownKind::ReplicaSet | KnownKind::ReplicationController => {
            workload::assess_replica_set(object, context)
        }
        KnownKind::Pod => pods::assess_pod(object, context),
        KnownKind::Job => job::assess_job(object),
        KnownKind::PersistentVolumeClaim => builtin::assess_claim(object),
        KnownKind::PersistentVolume => builtin::assess_volume(object),
        KnownKind::Service => builtin::assess_service(object),
        KnownKind::CustomResourceDefinition => builtin::assess_definition(object),
        KnownKind::ApiService => builtin::assess_api_service(object),
        // Current as soon as their generation is observed.
        KnownKind::CronJob | KnownKind::PodDisruptionBudget => Health::current(),
        KnownKind::Namespace
        | KnownKind::ServiceAccount
        | KnownKind::Role
        | KnownKind::ClusterRole
        | KnownKind::RoleBinding
        | KnownKind::ClusterRoleBinding
        | KnownKind::ConfigMap
        | KnownKind::Secret
        | KnownKind::StorageClass
        | KnownKind::CsiDriver
        | KnownKind::PriorityClass
        | KnownKind::RuntimeClass
        | KnownKind::IngressClass
        | KnownKind::Node
        | KnownKind::HorizontalPodAutoscaler => generic::assess_by_ready(object, context),
    }
}
