//! The status: what users see, and the ledger.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::phase::{OperationKind, OperationResult, Phase};

/// State of the add-on on this cluster. Only the agent writes it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct ManagedAddOnStatus {
    /// Generation of the spec to which the status refers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Phase of the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Kind of the newest operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationKind>,
    /// Result of the newest operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<OperationResult>,
    /// Version that was last Available on this cluster. It changes only when another version becomes Available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_version: Option<String>,
    /// Version that is assigned: spec.version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_version: Option<String>,
    /// Version that was Available before currentVersion. A requested rollback may return to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_version: Option<String>,
    /// Time at which the newest operation started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_time: Option<Time>,
    /// Time at which the newest operation ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Why the add-on is in this state: one word from a closed list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Explanation of the reason for people, at most 1 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Conditions of the add-on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Operations, newest first, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
    /// Ledger of the agent. Its structure is not part of the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub rollout: Option<serde_json::Value>,
}

impl ManagedAddOnStatus {
    /// Returns the condition of this type.
    pub fn condition(&self, condition_type: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == condition_type)
    }
}

impl Serialize for ManagedAddOnStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// Reads also a status that the schema allows and no agent can parse, such as one with a time in the year 9999. Then only
/// the ledger is kept, because everything else follows from it.
impl<'de> Deserialize<'de> for ManagedAddOnStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let status = serde_json::Value::deserialize(deserializer)?;
        let ledger = status.get("rollout").cloned();
        Ok(Self::deserialize(status).unwrap_or(Self { rollout: ledger, ..Self::default() }))
    }
}

/// An operation.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Number of the operation, counted from 1.
    #[schemars(with = "i64", range(min = 1))]
    pub sequence: u64,
    /// Version that was the operation's target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Digest of the version's bundle: sha256: and 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Kind of the operation.
    pub operation: OperationKind,
    /// Result of the operation.
    pub result: OperationResult,
    /// Time at which the operation started.
    pub started_time: Time,
    /// Time at which the operation ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Why the operation ended so: one word from a closed list.
    pub reason: String,
    /// Whether the bundle's digest was verified.
    pub verified: bool,
    /// Name of the ConfigMap in the agent's namespace with evidence of the failure, recorded before the rollback. Only the
    /// newest three are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// The schema of an object with any fields.
fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "nullable": true})
}
