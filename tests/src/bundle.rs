//! Bundles and assignments in a few words.

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
/// An image whose pods end well.
pub const JOB: &str = "registry.example.com/job:1";

/// A bundle of manifests, built up object by object.
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

    /// Multi-document YAML (JSON is YAML).
    pub fn yaml(&self) -> String {
        self.objects.iter().map(|object| format!("---\n{object}\n")).collect()
    }
}

/// A Deployment, or what has the same fields, of one pod with the label `app: <name>`.
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

/// A `ManagedAddOn`'s spec, built up word by word. Short soak and time-out, so that stories are short.
#[derive(Clone)]
pub struct Spec(pub Value);

impl Spec {
    pub fn inline(version: &str, bundle: &Bundle) -> Self {
        Self::text(version, &bundle.yaml())
    }

    /// An inline bundle that need not be one.
    pub fn text(version: &str, text: &str) -> Self {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(text.as_bytes()).expect("memory takes everything");
        let packed = packer.finish().expect("memory takes everything");
        let manifests = base64::engine::general_purpose::STANDARD.encode(packed);
        Self::of(version, json!({"inline": {"manifests": manifests}}))
    }

    /// Served at `url`; the digest is that of `bytes`, whatever is served.
    pub fn http(version: &str, url: &str, bytes: &[u8]) -> Self {
        let sha256 = digest(bytes).trim_start_matches("sha256:").to_owned();
        Self::of(version, json!({"http": {"url": url, "sha256": sha256}}))
    }

    /// An artifact in a registry, by its manifest's digest.
    pub fn oci(version: &str, repository: &str, digest: &str) -> Self {
        Self::of(version, json!({"oci": {"repository": repository, "digest": digest}}))
    }

    pub fn of(version: &str, source: Value) -> Self {
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
