//! Health rules of an add-on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Health rule for one kind: CEL expressions over the variable object. The first that is true decides, in the order failed,
/// inProgress, current. If none is true, the object is InProgress.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HealthRule {
    /// API version of the kind, such as example.com/v1.
    #[schemars(length(min = 1, max = 253))]
    pub api_version: String,
    /// Kind to which the rule applies.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Expression that is true when an object matches its spec.
    #[schemars(length(min = 1, max = 1024))]
    pub current: String,
    /// Expression that is true while a controller works on an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub in_progress: Option<String>,
    /// Expression that is true when an object has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub failed: Option<String>,
}
