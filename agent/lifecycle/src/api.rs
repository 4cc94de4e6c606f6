//! The `ManagedAddOn` custom resource: spec is the assignment, status is the ledger.
//!
//! The CRD is generated from these types. It has no defaults (they would make the klusterlet's work agent write for
//! ever): absent fields get their defaults in [`crate::Policy`] and [`crate::Assignment`].

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strum::{IntoStaticStr, VariantArray};

/// The version of an add-on that this cluster should run, and how to get there.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "lifecycle.open-cluster-management.io",
    version = "v1alpha1",
    kind = "ManagedAddOn",
    plural = "managedaddons",
    singular = "managedaddon",
    category = "ocm",
    doc = "The version of an add-on that this cluster should run (spec), and where it is (status).",
    status = "ManagedAddOnStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.size() <= 63").message("the name is also a label's value: at most 63 characters"),
    validation = Rule::new("!(self.metadata.name in ['managed-cluster-lease', 'addon-lifecycle-agent'])").message("the names managed-cluster-lease and addon-lifecycle-agent are reserved"),
    printcolumn = r#"{"name":"Current","type":"string","jsonPath":".status.currentVersion","description":"last version that became Available here"}"#,
    printcolumn = r#"{"name":"Desired","type":"string","jsonPath":".spec.version","description":"version asked for"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Result","type":"string","jsonPath":".status.result","description":"of the newest operation"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason","priority":1}"#,
    printcolumn = r#"{"name":"Started","type":"date","jsonPath":".status.startedTime"}"#,
    printcolumn = r#"{"name":"Completed","type":"date","jsonPath":".status.completionTime"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ManagedAddOnSpec {
    /// The version to run: semantic versioning 2.0.0, without a leading v.
    #[x_kube(validation = Rule::new(VERSION_RULE).message("not a semantic version such as 1.4.0 or 2.0.0-rc.1; there is no leading v, and all three numbers are needed"))]
    #[schemars(length(max = 128))]
    pub version: String,
    /// Where the version's bundle of manifests comes from: exactly one of oci, http and inline.
    pub source: Source,
    /// Replaces ${NAME} in string scalars of the bundle once it is verified; other ${...} stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[A-Za-z_][A-Za-z0-9_]*$'))").message("names of values are letters, digits and underscores"))]
    #[schemars(extend("maxProperties" = 64), inner(length(max = 4096)))]
    pub values: Option<BTreeMap<String, String>>,
    /// For namespaced objects that name none. Default: open-cluster-management-agent-addon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = DNS_LABEL))]
    pub namespace: Option<String>,
    /// Service account in spec.namespace whose rights are used for every read and write of the add-on's objects.
    /// Absent: addon-installer in the agent's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = DNS_NAME))]
    pub service_account_name: Option<String>,
    /// Versions that this one may follow, such as ">=1.3.0, <1.5.0". Pre-releases of versions in range are in. Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub upgrade_from: Option<String>,
    /// Versions of the API server that this one supports, such as ">=1.28". Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub kubernetes: Option<String>,
    /// Other add-ons that must run here first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub requires: Option<Vec<RequirementSpec>>,
    /// Rules for kinds that the built-in health rules do not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub health: Option<Vec<HealthRule>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicySpec>,
}

/// Where a bundle comes from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.oci), has(self.http), has(self.inline)].exists_one(given, given)").message("exactly one of oci, http and inline is needed"))]
pub struct Source {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<OciSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<InlineSource>,
}

/// An OCI artifact whose layers are files of YAML, named by its manifest's digest.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OciSource {
    /// Registry and repository without scheme, tag or digest, such as registry.example.com/addons/metrics.
    #[x_kube(validation = Rule::new(REPOSITORY_RULE).message("not a registry and repository such as registry.example.com/addons/metrics; there is no scheme, tag or digest"))]
    #[schemars(length(min = 1, max = 512))]
    pub repository: String,
    /// sha256: and 64 lowercase hex digits.
    #[schemars(regex(pattern = r"^sha256:[a-f0-9]{64}$"))]
    pub digest: String,
}

/// A multi-document YAML file behind a URL, named by its digest.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HttpSource {
    #[schemars(length(max = 2048), regex(pattern = r"^https?://[^\s@]+$"))]
    pub url: String,
    /// 64 lowercase hex digits: SHA-256 of the file.
    #[schemars(regex(pattern = r"^[a-f0-9]{64}$"))]
    pub sha256: String,
}

/// The bundle itself.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct InlineSource {
    /// Base64 of gzip of multi-document YAML, at most 160 KiB encoded.
    #[schemars(length(min = 1, max = 163_840))]
    pub manifests: String,
}

/// Another add-on that must be Available in one of these versions.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RequirementSpec {
    #[schemars(length(max = 253), regex(pattern = DNS_NAME))]
    pub add_on: String,
    #[schemars(length(min = 1, max = 256))]
    pub versions: String,
}

/// How to read the health of one kind: CEL expressions over `object`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HealthRule {
    #[schemars(length(min = 1, max = 253))]
    pub api_version: String,
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    #[schemars(length(min = 1, max = 1024))]
    pub current: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub in_progress: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub failed: Option<String>,
}

/// How a rollout behaves. A change of policy alone starts nothing.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PolicySpec {
    /// What a failed rollout does. Default: Rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// What happens when going back would not be safe. Default: Hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unsafe: Option<OnUnsafe>,
    /// The largest step of an upgrade. Default: Any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrades: Option<Upgrades>,
    /// What a requested rollback may go to. Default: Previous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downgrades: Option<Downgrades>,
    /// From the first write until healthy, counted while the API server is reachable. Default: 15m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = DURATION))]
    pub timeout: Option<String>,
    /// How long everything must stay healthy before the version counts as Available. Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = DURATION))]
    pub soak: Option<String>,
    /// When a rollout may start; one of them has to be open. Absent or empty: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub windows: Option<Vec<Window>>,
    /// What deleting the ManagedAddOn does with what it installed. Default: Uninstall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Deletion>,
    /// Take over existing objects that are not this add-on's. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<bool>,
}

/// A recurring time in which a rollout may start.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// When it opens: five cron fields, such as "0 2 * * 6", by the clocks of the time zone.
    #[schemars(length(min = 1, max = 128))]
    pub schedule: String,
    /// How long it stays open, from 1m to 744h.
    #[schemars(length(max = 32), regex(pattern = DURATION))]
    pub duration: String,
    /// IANA name, such as Europe/Berlin. Default: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
}

#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    #[default]
    Rollback,
    Hold,
}

#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnsafe {
    #[default]
    Hold,
    Proceed,
}

#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upgrades {
    #[default]
    Any,
    Minor,
    Patch,
    None,
}

#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Downgrades {
    #[default]
    Previous,
    Any,
    Never,
}

#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deletion {
    #[default]
    Uninstall,
    Orphan,
}

/// Where the add-on is here; written by the agent alone.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct ManagedAddOnStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationKind>,
    /// Of the newest operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<OperationResult>,
    /// Last version that became Available here; changes only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_version: Option<String>,
    /// What is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_version: Option<String>,
    /// What a requested rollback would go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_version: Option<String>,
    /// When the newest operation was initiated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_time: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// One of a closed, documented list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For a person; at most 1 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Newest first, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
    /// The ledger proper; its shape is the agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "opaque")]
    pub rollout: Option<serde_json::Value>,
}

impl Serialize for ManagedAddOnStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// Somebody may have written what the schema allows and no agent can read, such as a time in the year 9999. All that is
/// shown follows from the ledger, so that the ledger alone is enough to make it anew.
impl<'de> Deserialize<'de> for ManagedAddOnStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let status = serde_json::Value::deserialize(deserializer)?;
        let ledger = status.get("rollout").cloned();
        Ok(Self::deserialize(status).unwrap_or(Self { rollout: ledger, ..Self::default() }))
    }
}

/// One operation of the past.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    pub sequence: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    pub operation: OperationKind,
    pub result: OperationResult,
    pub started_time: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    pub reason: String,
    /// Whether the bundle's digest was verified.
    pub verified: bool,
    /// ConfigMap in the agent's namespace with what was seen of the failure before the way back; absent where there is
    /// none. Only the newest three are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

impl ManagedAddOnStatus {
    /// Returns the condition of this type.
    pub fn condition(&self, condition_type: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == condition_type)
    }
}

/// Where a rollout is, as people and metrics name it.
#[derive(
    JsonSchema,
    Serialize,
    Deserialize,
    IntoStaticStr,
    VariantArray,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
)]
pub enum Phase {
    /// Seen, nothing decided.
    Pending,
    /// Allowed, but not at this moment; the reason says why.
    Waiting,
    /// The bundle is being fetched.
    Pulling,
    /// The bundle is being verified, read and retained.
    Staging,
    /// The bundle is being tried against the API server without writing.
    Checking,
    /// Objects are being written.
    Applying,
    /// Everything is written; its health is watched.
    Verifying,
    /// Healthy; what the version dropped is being removed.
    Pruning,
    /// The version runs.
    Available,
    /// Refused before the first write.
    Rejected,
    /// The last good version is being put back.
    RollingBack,
    /// The last good version runs; what was asked failed.
    RolledBack,
    /// What was asked failed, and nothing more will be tried.
    Failed,
    /// What was installed is being removed.
    Removing,
}

impl Phase {
    /// Every phase, in the order of its documentation.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The phase as status and metrics show it.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Nothing happens by itself any more (a rejected assignment may be looked at again).
    pub fn is_settled(self) -> bool {
        match self {
            Phase::Available | Phase::Rejected | Phase::RolledBack | Phase::Failed => true,
            Phase::Pending
            | Phase::Waiting
            | Phase::Pulling
            | Phase::Staging
            | Phase::Checking
            | Phase::Applying
            | Phase::Verifying
            | Phase::Pruning
            | Phase::RollingBack
            | Phase::Removing => false,
        }
    }
}

#[derive(
    JsonSchema,
    Serialize,
    Deserialize,
    IntoStaticStr,
    VariantArray,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
)]
pub enum OperationKind {
    Install,
    Upgrade,
    Rollback,
    Uninstall,
}

impl OperationKind {
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The operation as status and metrics show it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

#[derive(
    JsonSchema,
    Serialize,
    Deserialize,
    IntoStaticStr,
    VariantArray,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
)]
pub enum OperationResult {
    InProgress,
    Succeeded,
    Failed,
}

impl OperationResult {
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The result as status and metrics show it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Semantic versioning 2.0.0, as its own site gives it; a rule, since a pattern is all that would be told of a pattern.
const VERSION_RULE: &str = r"self.matches(r'^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$')";

/// A registry, told by a dot, a port or being localhost, and a name as the OCI distribution specification has it.
const REPOSITORY_RULE: &str = r"self.matches(r'^([a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+(:[0-9]{1,5})?|[a-zA-Z0-9-]+:[0-9]{1,5}|localhost|\[[a-fA-F0-9:]+\](:[0-9]{1,5})?)(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+$')";

/// Go's durations: 90s, 15m, 1h30m, 1.5h, 300ms.
const DURATION: &str = r"^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+$";

const DNS_LABEL: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

const DNS_NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

fn opaque(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "nullable": true})
}
