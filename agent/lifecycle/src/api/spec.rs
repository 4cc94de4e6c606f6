//! The resource and its spec.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::health_rule::HealthRule;
use super::patterns::{DNS_LABEL, DNS_NAME, VERSION_RULE};
use super::policy::PolicySpec;
use super::source::Source;
use super::status::ManagedAddOnStatus;

/// Version of an add-on that this cluster should run, and the policy of its rollout.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "lifecycle.open-cluster-management.io",
    version = "v1alpha1",
    kind = "ManagedAddOn",
    plural = "managedaddons",
    singular = "managedaddon",
    category = "ocm",
    doc = "ManagedAddOn assigns a version of an add-on to this cluster (spec) and shows the state of its rollout (status).",
    status = "ManagedAddOnStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.size() <= 63").message("the name is also a label's value: at most 63 characters"),
    validation = Rule::new("!(self.metadata.name in ['managed-cluster-lease', 'addon-lifecycle-agent'])").message("the names managed-cluster-lease and addon-lifecycle-agent are reserved"),
    printcolumn = r#"{"name":"Current","type":"string","jsonPath":".status.currentVersion","description":"Version that was last Available on this cluster."}"#,
    printcolumn = r#"{"name":"Desired","type":"string","jsonPath":".spec.version","description":"Assigned version."}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Result","type":"string","jsonPath":".status.result","description":"Result of the newest operation."}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason","priority":1}"#,
    printcolumn = r#"{"name":"Started","type":"date","jsonPath":".status.startedTime"}"#,
    printcolumn = r#"{"name":"Completed","type":"date","jsonPath":".status.completionTime"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ManagedAddOnSpec {
    /// Version to run: a semantic version 2.0.0 without a leading v.
    #[x_kube(validation = Rule::new(VERSION_RULE).message("not a semantic version such as 1.4.0 or 2.0.0-rc.1; there is no leading v, and all three numbers are needed"))]
    #[schemars(length(max = 128))]
    pub version: String,
    /// Source of the version's bundle. Exactly one of oci, http and inline is required.
    pub source: Source,
    /// Values that replace ${NAME} in strings of the bundle, after its digest is verified. A ${NAME} without a value is left
    /// as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[A-Za-z_][A-Za-z0-9_]*$'))").message("names of values are letters, digits and underscores"))]
    #[schemars(extend("maxProperties" = 64), inner(length(max = 4096)))]
    pub values: Option<BTreeMap<String, String>>,
    /// Namespace of namespaced objects that name none. Defaults to open-cluster-management-agent-addon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = DNS_LABEL))]
    pub namespace: Option<String>,
    /// Service account in spec.namespace with whose rights the agent reads and writes the add-on's objects. Defaults to
    /// addon-installer in the agent's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = DNS_NAME))]
    pub service_account_name: Option<String>,
    /// Range of versions that this version may follow, such as ">=1.3.0, <1.5.0". A pre-release is in the range if its
    /// release is. Defaults to any version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub upgrade_from: Option<String>,
    /// Range of API server versions that this version supports, such as ">=1.28". Defaults to any version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub kubernetes: Option<String>,
    /// Other add-ons that must be Available on this cluster before this version is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub requires: Option<Vec<RequirementSpec>>,
    /// Health rules for kinds without a built-in rule. A rule replaces a built-in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub health: Option<Vec<HealthRule>>,
    /// Policy of the rollout. A change of the policy alone starts no rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicySpec>,
}

/// Another add-on that must be Available on this cluster, in a version of this range.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RequirementSpec {
    /// Name of the other ManagedAddOn.
    #[schemars(length(max = 253), regex(pattern = DNS_NAME))]
    pub add_on: String,
    /// Range of its versions, such as ">=1.3.0, <2.0.0".
    #[schemars(length(min = 1, max = 256))]
    pub versions: String,
}

#[cfg(test)]
mod tests {
    use kube::Resource;

    use super::*;
    use crate::names::{GROUP, RESERVED_NAMES};

    #[test]
    fn the_resource_has_the_group_and_the_reserved_names_of_the_constants() {
        assert_eq!(ManagedAddOn::group(&()), GROUP);
        let crd = serde_json::to_string(&<ManagedAddOn as kube::CustomResourceExt>::crd());
        let crd = crd.expect("a definition");
        for name in RESERVED_NAMES {
            assert!(crd.contains(&format!("'{name}'")), "{name}");
        }
    }
}
