//! Builders of bundles and assignments.

use std::io::Write;

use base64::Engine;
use flate2::Compression;
use flate2::write::GzEncoder;
use lifecycle::digest;
use serde_json::{Value, json};

/// An image whose pods become ready on the test bed's nodes.
pub const READY: &str = "registry.example.com/ready:1";
/// An image whose pods run but never become ready.
pub const NEVER_READY: &str = "registry.example.com/never-ready:1";
/// An image that cannot be pulled.
pub const MISSING: &str = "registry.example.com/missing:1";
/// An image whose pods succeed.
pub const JOB: &str = "registry.example.com/job:1";

/// Builder of a bundle, object by object.
#[derive(Clone, Default)]
pub struct Bundle {
    objects: Vec<Value>,
}

impl Bundle {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn object(mut self, object: Value) -> Self {
        self.objects.push(object);
        self
    }

    pub fn namespace(self, name: &str) -> Self {
        self.object(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
    }

    pub fn config(self, name: &str, value: &str) -> Self {
        self.object(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
            "data": {"value": value},
        }))
    }

    pub fn deployment(self, name: &str, image: &str) -> Self {
        self.object(workload("Deployment", name, image))
    }

    pub fn objects(&self) -> &[Value] {
        &self.objects
    }

    /// Returns multi-document YAML. JSON is YAML, too.
    pub fn yaml(&self) -> String {
        self.objects.iter().map(|object| format!("---\n{object}\n")).collect()
    }
}

/// Returns a Deployment, or another kind with the same fields, of one pod with the label `app: <name>`.
pub fn workload(kind: &str, name: &str, image: &str) -> Value {
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": image}]},
            },
        },
    })
}

/// Builder of a `ManagedAddOn`'s spec. Its soak and its time-out are short, so that stories are.
#[derive(Clone)]
pub struct Spec(pub Value);

impl Spec {
    /// Returns a spec with an inline bundle.
    pub fn inline(version: &str, bundle: &Bundle) -> Self {
        Self::text(version, &bundle.yaml())
    }

    /// Returns a spec with an inline bundle of any text.
    pub fn text(version: &str, text: &str) -> Self {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(text.as_bytes()).expect("writing to memory cannot fail");
        let packed = packer.finish().expect("writing to memory cannot fail");
        let manifests = base64::engine::general_purpose::STANDARD.encode(packed);
        Self::new(version, json!({"inline": {"manifests": manifests}}))
    }

    /// Returns a spec with a bundle at `url`. The digest is that of `bytes`, which need not be what is served.
    pub fn http(version: &str, url: &str, bytes: &[u8]) -> Self {
        let sha256 = digest(bytes).trim_start_matches("sha256:").to_owned();
        Self::new(version, json!({"http": {"url": url, "sha256": sha256}}))
    }

    /// Returns a spec with an artifact in a registry, by the digest of its manifest.
    pub fn oci(version: &str, repository: &str, digest: &str) -> Self {
        Self::new(version, json!({"oci": {"repository": repository, "digest": digest}}))
    }

    pub fn new(version: &str, source: Value) -> Self {
        Self(json!({
            "version": version,
            "source": source,
            "policy": {"soak": "1s", "timeout": "60s"},
        }))
    }

    pub fn namespace(self, namespace: &str) -> Self {
        self.with("namespace", json!(namespace))
    }

    pub fn policy(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0["policy"][name] = value.into();
        self
    }

    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.0[name] = value;
        self
    }
}
