//! Sources of a bundle.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns::REPOSITORY_RULE;

/// Source of a bundle. Exactly one of oci, http and inline is required.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.oci), has(self.http), has(self.inline)].exists_one(given, given)").message("exactly one of oci, http and inline is needed"))]
pub struct Source {
    /// OCI artifact that is the bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<OciSource>,
    /// File on a web server that is the bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
    /// The bundle itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<InlineSource>,
}

/// OCI artifact, each layer of which is a YAML file of the bundle.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OciSource {
    /// Registry and repository without scheme, tag and digest, such as registry.example.com/addons/metrics.
    #[x_kube(validation = Rule::new(REPOSITORY_RULE).message("not a registry and repository such as registry.example.com/addons/metrics; there is no scheme, tag or digest"))]
    #[schemars(length(min = 1, max = 512))]
    pub repository: String,
    /// Digest of the artifact's manifest: sha256: and 64 lowercase hex digits.
    #[schemars(regex(pattern = r"^sha256:[a-f0-9]{64}$"))]
    pub digest: String,
}

/// Multi-document YAML file on a web server.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HttpSource {
    /// URL of the file, with scheme http or https and without user information. The request carries no credentials.
    #[schemars(length(max = 2048), regex(pattern = r"^https?://[^\s@]+$"))]
    pub url: String,
    /// SHA-256 of the file: 64 lowercase hex digits.
    #[schemars(regex(pattern = r"^[a-f0-9]{64}$"))]
    pub sha256: String,
}

/// Bundle that is part of the assignment.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct InlineSource {
    /// Base64 of gzip of a multi-document YAML file, at most 163840 characters (160 KiB).
    #[schemars(length(min = 1, max = 163_840))]
    pub manifests: String,
}
