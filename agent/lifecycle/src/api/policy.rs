//! The policy of a rollout.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns::{DURATION, plain_enum};

/// Policy of a rollout. A change of the policy alone starts no rollout.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PolicySpec {
    /// Action taken when a rollout fails after its first write. Rollback returns to the last version that was Available. Hold
    /// stays where the rollout failed, in phase Failed. Defaults to Rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// Action taken when the condition RollbackSafe is False before the first write. Hold waits until the blockers are
    /// accepted by a new value of the annotation retry. Proceed continues. Defaults to Hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unsafe: Option<OnUnsafe>,
    /// Largest step of an upgrade. Any allows every newer version, Minor a newer one of the same major version, Patch a newer
    /// one of the same minor version, and None no upgrade. Defaults to Any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrades: Option<Upgrades>,
    /// Versions that a requested rollback may return to. Previous allows status.previousVersion, Any every older version, and
    /// Never none. Defaults to Previous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downgrades: Option<Downgrades>,
    /// Time from the first write until everything must be healthy. Only time in which the API server is reachable counts.
    /// Defaults to 15m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = DURATION))]
    pub timeout: Option<String>,
    /// Time for which everything must stay healthy before the version counts as Available. Defaults to 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = DURATION))]
    pub soak: Option<String>,
    /// Maintenance windows. A rollout starts only while at least one of them is open. If absent or empty, a rollout may start
    /// at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub windows: Option<Vec<Window>>,
    /// Action taken on the add-on's objects when the ManagedAddOn is deleted. Uninstall removes them. Orphan leaves them.
    /// Defaults to Uninstall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Deletion>,
    /// Whether to adopt existing objects that belong to no add-on. Defaults to false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<bool>,
}

/// Recurring time in which a rollout may start.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// When the window opens: five cron fields in its time zone, such as "0 2 * * 6".
    #[schemars(length(min = 1, max = 128))]
    pub schedule: String,
    /// How long the window stays open, from 1m to 744h.
    #[schemars(length(max = 32), regex(pattern = DURATION))]
    pub duration: String,
    /// Time zone of the schedule as an IANA name, such as Europe/Berlin. Defaults to UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
}

/// Action taken when a rollout fails after its first write.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = plain_enum)]
pub enum OnFailure {
    /// The last version that was available is restored.
    #[default]
    Rollback,
    /// Everything stays as it is, in phase `Failed`.
    Hold,
}

/// Action taken when a rollback would not be safe.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = plain_enum)]
pub enum OnUnsafe {
    /// The version waits until its blockers are accepted.
    #[default]
    Hold,
    /// The version is applied all the same.
    Proceed,
}

/// Largest step of an upgrade.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = plain_enum)]
pub enum Upgrades {
    /// To any newer version.
    #[default]
    Any,
    /// To a newer version of the same major version.
    Minor,
    /// To a newer version of the same minor version.
    Patch,
    /// No upgrade.
    None,
}

/// Versions that a requested rollback may return to.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = plain_enum)]
pub enum Downgrades {
    /// The version that was available before the current one.
    #[default]
    Previous,
    /// Any older version.
    Any,
    /// None.
    Never,
}

/// Action taken on the add-on's objects when the `ManagedAddOn` is deleted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = plain_enum)]
pub enum Deletion {
    /// They are removed.
    #[default]
    Uninstall,
    /// They stay, without an owner.
    Orphan,
}
