//! The kinds of Kubernetes that the agent knows by name, in one table. Kinds are compared with their API group; the
//! version of the group does not matter.

use strum::{IntoStaticStr, VariantArray};

use crate::object::{Object, ObjectKey};
use crate::plan::waves::Wave;

/// API group of the webhook configurations and admission policies.
pub(crate) const ADMISSION_GROUP: &str = "admissionregistration.k8s.io";

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// Where workloads have the template of their pods.
const TEMPLATE: &str = "/spec/template";

/// A kind that a rule of the agent names.
#[derive(IntoStaticStr, VariantArray, Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownKind {
    /// Removing one removes everything in it.
    Namespace,
    /// Removing one removes all objects of its kind.
    CustomResourceDefinition,
    /// Bindings and pods name it.
    ServiceAccount,
    /// A binding can only name one that exists.
    Role,
    /// As a Role.
    ClusterRole,
    /// Its `roleRef` cannot be changed.
    RoleBinding,
    /// As a RoleBinding.
    ClusterRoleBinding,
    /// It may be immutable.
    ConfigMap,
    /// It may be immutable, and no message repeats its values.
    Secret,
    /// Some of its fields cannot be changed, such as `clusterIP`.
    Service,
    /// Most of its fields cannot be changed.
    StorageClass,
    /// Some of its fields cannot be changed, such as `attachRequired`.
    #[strum(serialize = "CSIDriver")]
    CsiDriver,
    /// Its value cannot be changed. Pods keep the one that they got.
    PriorityClass,
    /// Its handler cannot be changed.
    RuntimeClass,
    /// Its controller cannot be changed.
    IngressClass,
    /// It holds data.
    PersistentVolume,
    /// It holds data, and can grow but not shrink.
    PersistentVolumeClaim,
    /// It is healthy as soon as its generation is observed.
    PodDisruptionBudget,
    /// No add-on has one. It excuses missing pods of a DaemonSet, and lists the images that it has.
    Node,
    /// Its selector cannot be changed.
    Deployment,
    /// Most of its fields cannot be changed, and its pods may hold data.
    StatefulSet,
    /// Its selector cannot be changed.
    DaemonSet,
    /// A bundle seldom has one; Deployments make them.
    ReplicaSet,
    /// The predecessor of the ReplicaSet.
    ReplicationController,
    /// It runs once; its pod template cannot be changed.
    Job,
    /// It is healthy as soon as its generation is observed.
    CronJob,
    /// A bundle seldom has one; the pods of workloads explain why they are unhealthy.
    Pod,
    /// It sets the replicas of another object.
    HorizontalPodAutoscaler,
    /// Requests to its API fail until it is available.
    #[strum(serialize = "APIService")]
    ApiService,
}

/// One row of the table.
#[derive(Clone, Copy)]
struct Traits {
    group: &'static str,
    wave: Wave,
    holds_data: bool,
    is_replaceable: bool,
    has_replicas: bool,
    keeps_pods: bool,
    pod_template: Option<&'static str>,
}

impl KnownKind {
    /// Every known kind.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    const fn traits(self) -> Traits {
        match self {
            Self::Namespace => row("", Wave::Namespaces),
            Self::CustomResourceDefinition => row("apiextensions.k8s.io", Wave::Definitions),
            Self::ServiceAccount => row("", Wave::Roles),
            Self::Role | Self::ClusterRole => row(RBAC_GROUP, Wave::Roles),
            Self::RoleBinding | Self::ClusterRoleBinding => {
                row(RBAC_GROUP, Wave::Configuration).replaceable()
            }
            Self::ConfigMap | Self::Secret | Self::Service => {
                row("", Wave::Configuration).replaceable()
            }
            Self::StorageClass | Self::CsiDriver => {
                row("storage.k8s.io", Wave::Configuration).replaceable()
            }
            Self::PriorityClass => row("scheduling.k8s.io", Wave::Configuration).replaceable(),
            Self::RuntimeClass => row("node.k8s.io", Wave::Configuration).replaceable(),
            Self::IngressClass => row("networking.k8s.io", Wave::Configuration).replaceable(),
            Self::PersistentVolume | Self::PersistentVolumeClaim => {
                row("", Wave::Configuration).holding_data()
            }
            Self::PodDisruptionBudget => row("policy", Wave::Configuration),
            Self::Node => row("", Wave::Configuration),
            Self::Deployment => workload().replaceable().with_replicas(),
            Self::StatefulSet | Self::ReplicaSet => workload().with_replicas(),
            Self::DaemonSet => workload().replaceable(),
            // Its pods are not examined: it is a legacy kind, with a selector of another form.
            Self::ReplicationController => row("", Wave::Workloads).with_replicas(),
            Self::Job => row("batch", Wave::Workloads).replaceable().with_template(TEMPLATE),
            Self::CronJob => {
                row("batch", Wave::Workloads).with_template("/spec/jobTemplate/spec/template")
            }
            Self::Pod => row("", Wave::Workloads).with_template(""),
            Self::HorizontalPodAutoscaler => row("autoscaling", Wave::Workloads),
            Self::ApiService => row("apiregistration.k8s.io", Wave::Extensions),
        }
    }

    /// Returns the known kind of this name in this API group. The core group is empty.
    pub fn find(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.name() == kind && known.group() == group)
    }

    /// Returns the known kind of an object.
    pub fn of(object: &Object) -> Option<Self> {
        Self::find(object.group(), object.kind())
    }

    /// The kind as manifests spell it.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The API group. The core group is empty.
    pub fn group(self) -> &'static str {
        self.traits().group
    }

    /// Whether deleting an object of this kind can delete data.
    pub fn holds_data(self) -> bool {
        self.traits().holds_data
    }

    /// Whether an object of this kind may be deleted and recreated when a field of it cannot be changed: nothing is lost by
    /// it.
    pub fn is_replaceable(self) -> bool {
        self.traits().is_replaceable
    }

    /// Whether the status counts replicas.
    pub fn has_replicas(self) -> bool {
        self.traits().has_replicas
    }

    /// Whether a controller keeps pods of a template running, and finds them by `/spec/selector/matchLabels`.
    pub fn keeps_pods(self) -> bool {
        self.traits().keeps_pods
    }

    /// JSON pointer to the pod or pod template: metadata and spec of the pods that come of the object.
    pub fn pod_template(self) -> Option<&'static str> {
        self.traits().pod_template
    }
}

const fn row(group: &'static str, wave: Wave) -> Traits {
    Traits {
        group,
        wave,
        holds_data: false,
        is_replaceable: false,
        has_replicas: false,
        keeps_pods: false,
        pod_template: None,
    }
}

const fn workload() -> Traits {
    Traits { keeps_pods: true, ..row("apps", Wave::Workloads).with_template(TEMPLATE) }
}

impl Traits {
    const fn holding_data(self) -> Self {
        Self { holds_data: true, ..self }
    }

    const fn replaceable(self) -> Self {
        Self { is_replaceable: true, ..self }
    }

    const fn with_replicas(self) -> Self {
        Self { has_replicas: true, ..self }
    }

    const fn with_template(self, pointer: &'static str) -> Self {
        Self { pod_template: Some(pointer), ..self }
    }
}

impl Object {
    /// Returns whether the object is of this kind.
    pub fn is(&self, kind: KnownKind) -> bool {
        self.kind() == kind.name() && self.group() == kind.group()
    }

    /// The wave in which the object is applied.
    pub fn wave(&self) -> Wave {
        wave_of(self.group(), self.kind())
    }
}

impl ObjectKey {
    /// Returns whether the key is of an object of this kind.
    pub fn is(&self, kind: KnownKind) -> bool {
        self.kind == kind.name() && self.group == kind.group()
    }

    /// The wave in which the object is applied.
    pub fn wave(&self) -> Wave {
        wave_of(&self.group, &self.kind)
    }
}

fn wave_of(group: &str, kind: &str) -> Wave {
    match KnownKind::find(group, kind) {
        Some(kind) => kind.traits().wave,
        None => wave_of_group(group),
    }
}

/// The wave of the kinds that the table does not have.
fn wave_of_group(group: &str) -> Wave {
    match group {
        "apiextensions.k8s.io" => Wave::Definitions,
        ADMISSION_GROUP | "apiregistration.k8s.io" => Wave::Extensions,
        "apps" | "batch" => Wave::Workloads,
        _ if is_built_in(group) => Wave::Configuration,
        _ => Wave::CustomResources,
    }
}

/// Returns whether the API group is one of Kubernetes' own whose kinds have their status at once, or none at all. The groups
/// of CustomResourceDefinitions and APIServices are not among them.
pub(crate) fn is_built_in(group: &str) -> bool {
    matches!(
        group,
        "" | "apps"
            | "batch"
            | "autoscaling"
            | "policy"
            | RBAC_GROUP
            | "networking.k8s.io"
            | "storage.k8s.io"
            | "scheduling.k8s.io"
            | "coordination.k8s.io"
            | "discovery.k8s.io"
            | "node.k8s.io"
            | "flowcontrol.apiserver.k8s.io"
            | ADMISSION_GROUP
            | "certificates.k8s.io"
            | "resource.k8s.io"
            | "events.k8s.io"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(api_version: &str, kind: &str) -> Object {
        Object(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}}))
    }

    #[test]
    fn every_object_has_its_wave() {
        for (api_version, kind, wave) in [
            ("v1", "Namespace", Wave::Namespaces),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition", Wave::Definitions),
            ("v1", "ConfigMap", Wave::Configuration),
            ("v1", "ServiceAccount", Wave::Roles),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", Wave::Roles),
            ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", Wave::Configuration),
            ("networking.k8s.io/v1", "Ingress", Wave::Configuration),
            ("apps/v1", "Deployment", Wave::Workloads),
            ("apps/v1", "ControllerRevision", Wave::Workloads),
            ("batch/v1", "Job", Wave::Workloads),
            ("example.com/v1", "Backend", Wave::CustomResources),
            ("example.com/v1", "Namespace", Wave::CustomResources),
            ("snapshot.storage.k8s.io/v1", "VolumeSnapshotClass", Wave::CustomResources),
            ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", Wave::Extensions),
            ("apiregistration.k8s.io/v1", "APIService", Wave::Extensions),
        ] {
            assert_eq!(object(api_version, kind).wave(), wave, "{api_version} {kind}");
        }
    }

    #[test]
    fn a_kind_is_compared_with_its_group() {
        assert!(object("apps/v1", "StatefulSet").is(KnownKind::StatefulSet));
        assert!(object("apiregistration.k8s.io/v1", "APIService").is(KnownKind::ApiService));
        assert!(!object("apps.kruise.io/v1beta1", "StatefulSet").is(KnownKind::StatefulSet));
        assert!(object("v1", "Secret").key().is(KnownKind::Secret));
        assert!(!object("example.com/v1", "Secret").key().is(KnownKind::Secret));
    }

    #[test]
    fn every_known_kind_is_found_by_its_group_and_name() {
        for kind in KnownKind::ALL {
            assert_eq!(KnownKind::find(kind.group(), kind.name()), Some(*kind));
        }
    }
}
