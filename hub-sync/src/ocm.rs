//! The objects of Open Cluster Management that are read here, and of them only the fields that matter.
//!
//! All are v1alpha1, which every release from 1.0 on serves and stores.

use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub const GROUP: &str = "addon.open-cluster-management.io";

/// That an add-on is wanted on a cluster, and how it is there.
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
    pub install_namespace: Option<String>,
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

#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedClusterAddOnStatus {
    pub namespace: Option<String>,
    /// As they are, so that others' survive a write unchanged.
    pub conditions: Vec<Value>,
    /// As they are, for the same reason.
    pub config_references: Vec<Value>,
}

/// What an add-on consists of in one version.
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

#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default)]
pub struct AgentSpec {
    pub workload: Workload,
}

#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default)]
pub struct Workload {
    pub manifests: Vec<Value>,
}

/// The fleet's view of an add-on. Where one exists, the klusterlet's work agent assigns.
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
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    pub fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    pub fn conditions(&self) -> &[Value] {
        self.status.as_ref().map_or(&[], |status| &status.conditions)
    }

    /// OCM makes a `ClusterManagementAddOn` the owner of every `ManagedClusterAddOn` of its name.
    pub fn is_owned_by_fleet(&self) -> bool {
        let owners = self.metadata.owner_references.as_deref().unwrap_or_default();
        owners.iter().any(|owner| owner.kind == "ClusterManagementAddOn")
    }

    /// Names of the templates that `spec.configs` refers to.
    pub fn templates(&self) -> impl Iterator<Item = &str> {
        let configs = self.spec.configs.iter();
        configs
            .filter(|config| config.group == GROUP && config.resource == "addontemplates")
            .map(|config| config.name.as_str())
    }

    /// Where OCM's registration agent looks for the add-on's lease on the managed cluster.
    pub fn lease_namespace(&self) -> &str {
        let told = self.status.as_ref().and_then(|status| status.namespace.as_deref());
        let asked = self.spec.install_namespace.as_deref();
        [told, asked]
            .into_iter()
            .flatten()
            .find(|name| !name.is_empty())
            .unwrap_or(lifecycle::names::DEFAULT_NAMESPACE)
    }
}
