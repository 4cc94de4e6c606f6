//! The kinds of Open Cluster Management that hub-sync reads, with the fields that matter to it. Pure.
//!
//! All are v1alpha1, which every release from 1.0 on serves and stores. An `mca` is a `ManagedClusterAddOn`, as in OCM's code.

use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// API group of OCM's add-ons.
pub const GROUP: &str = "addon.open-cluster-management.io";

/// An add-on that is assigned to one cluster, and its state there.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "addon.open-cluster-management.io",
    version = "v1alpha1",
    kind = "ManagedClusterAddOn",
    plural = "managedclusteraddons",
    namespaced,
    status = "ManagedClusterAddOnStatus",
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedClusterAddOnSpec {
    /// Namespace requested for the add-on on the managed cluster.
    pub install_namespace: Option<String>,
    /// References to templates and other configuration.
    pub configs: Vec<Config>,
}

/// A reference to something that configures an add-on.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default)]
pub struct Config {
    pub group: String,
    pub resource: String,
    pub name: String,
}

/// The part of the status that hub-sync reads.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedClusterAddOnStatus {
    /// Namespace of the add-on on the managed cluster, as OCM computed it.
    pub namespace: Option<String>,
    /// As raw JSON, so that conditions of other writers survive a write unchanged.
    pub conditions: Vec<Value>,
    /// As raw JSON, for the same reason.
    pub config_references: Vec<Value>,
}

/// One version of an add-on.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "addon.open-cluster-management.io",
    version = "v1alpha1",
    kind = "AddOnTemplate",
    plural = "addontemplates",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase", default)]
pub struct AddOnTemplateSpec {
    pub agent_spec: AgentSpec,
}

/// The part of a template that is installed on the managed cluster.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default)]
pub struct AgentSpec {
    pub workload: Workload,
}

/// The manifests of a template: one `ManagedAddOn`, or the add-on's own.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default)]
pub struct Workload {
    pub manifests: Vec<Value>,
}

/// An add-on of the whole fleet. Where one exists, the klusterlet's work agent assigns.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "addon.open-cluster-management.io",
    version = "v1alpha1",
    kind = "ClusterManagementAddOn",
    plural = "clustermanagementaddons",
    schema = "disabled"
)]
pub struct ClusterManagementAddOnSpec {}

impl ManagedClusterAddOn {
    /// Returns the add-on's name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Returns the UID; another object of the same name has another one.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Returns whether it was deleted and waits for its finalizers.
    pub fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Returns the conditions of all writers.
    pub fn conditions(&self) -> &[Value] {
        self.status.as_ref().map_or(&[], |status| &status.conditions)
    }

    /// Returns whether a `ClusterManagementAddOn` owns it. OCM sets that owner on every `ManagedClusterAddOn` of its name.
    pub fn is_owned_by_fleet(&self) -> bool {
        let owners = self.metadata.owner_references.as_deref().unwrap_or_default();
        owners.iter().any(|owner| owner.kind == "ClusterManagementAddOn")
    }

    /// Returns the names of the templates that `spec.configs` refers to.
    pub fn templates(&self) -> impl Iterator<Item = &str> {
        let configs = self.spec.configs.iter();
        configs
            .filter(|config| config.group == GROUP && config.resource == "addontemplates")
            .map(|config| config.name.as_str())
    }

    /// Returns the namespace in which OCM's registration agent looks for the add-on's lease on the managed cluster.
    pub fn lease_namespace(&self) -> &str {
        let reported = self.status.as_ref().and_then(|status| status.namespace.as_deref());
        let requested = self.spec.install_namespace.as_deref();
        [reported, requested]
            .into_iter()
            .flatten()
            .find(|name| !name.is_empty())
            .unwrap_or(lifecycle::names::DEFAULT_NAMESPACE)
    }
}
