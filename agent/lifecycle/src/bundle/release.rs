//! A release: a bundle made concrete for this cluster, named by the hash of all that shapes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::api::HealthRule;

/// What is saved of a release in the ledger; the whole of it lies in its Secret.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    pub id: ReleaseId,
    pub version: semver::Version,
    /// Of the bundle as pulled: `sha256:` and 64 hex digits.
    pub digest: String,
}

/// SHA-256 over digest, namespace, service account, health rules and values, as 64 hex digits.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(transparent)]
pub struct ReleaseId(pub String);

impl ReleaseId {
    /// What goes into labels and names: 12 digits are plenty within one add-on.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl std::fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.short())
    }
}

/// All that shapes a release beside its version.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    pub digest: String,
    pub namespace: String,
    pub service_account: ServiceAccount,
    #[serde(default)]
    pub health: Vec<HealthRule>,
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

impl Shape {
    pub fn id(&self) -> ReleaseId {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        ReleaseId(hex(&Sha256::digest(bytes)))
    }
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceAccount {
    pub namespace: String,
    pub name: String,
}

impl ServiceAccount {
    /// As the API server knows it.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

/// `sha256:` and the hex digits of these bytes' hash.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
