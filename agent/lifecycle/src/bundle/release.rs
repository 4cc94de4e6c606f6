//! A release: a bundle made concrete for this cluster. Its id is the hash of everything that shapes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::api::HealthRule;

/// A release as the ledger has it. The whole of it is in its Secret.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Hash of everything that shapes the release.
    pub id: ReleaseId,
    /// Version of the assignment, by which people name the release.
    pub version: semver::Version,
    /// Digest of the bundle as pulled: `sha256:` and 64 hex digits.
    pub digest: String,
}

/// SHA-256 over a [`Shape`], as 64 hex digits.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(transparent)]
pub struct ReleaseId(pub String);

impl ReleaseId {
    /// First 12 digits, for labels and names: enough to tell the releases of one add-on apart.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl std::fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.short())
    }
}

/// Everything that shapes a release, except its version.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    /// Digest of the bundle as pulled: `sha256:` and 64 hex digits.
    pub digest: String,
    /// Namespace of namespaced objects that name none.
    pub namespace: String,
    /// Service account whose rights are used.
    pub service_account: ServiceAccount,
    /// Health rules, in the order of the assignment.
    #[serde(default)]
    pub health: Vec<HealthRule>,
    /// Values for `${NAME}` in the bundle.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

impl Shape {
    /// Returns the id of the release that has this shape.
    pub fn id(&self) -> ReleaseId {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        ReleaseId(hex(&Sha256::digest(bytes)))
    }
}

/// A service account.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceAccount {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ServiceAccount {
    /// The user as which the API server authenticates the account.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

/// Returns the digest of bytes: `sha256:` and 64 hex digits.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Returns bytes as lowercase hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
