//! Cases that people reported of other tools: ordinary bundles, and how each ends here.

use serde_json::{Value, json};
use testbed::bundle::{Bundle, Spec};

pub mod adoption;
pub mod controller_fields;
pub mod defaults;
pub mod edited;
pub mod keep_marks;
pub mod policies;
pub mod refused;
pub mod renamed;
pub mod replacement;
pub mod secrets;
pub mod shared_namespace;
pub mod unchanged;
pub mod unreadable;
pub mod webhooks;

fn spec(name: &str, version: &str, bundle: &Bundle) -> Spec {
    Spec::inline(version, bundle).namespace(name)
}

/// Returns a version that never becomes healthy, with a short time-out.
fn failing(name: &str, version: &str, bundle: &Bundle) -> Spec {
    spec(name, version, bundle).policy("timeout", "6s")
}

/// Returns a volume that one claim can name. It outlives its claim.
fn volume(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/nowhere"},
        },
    })
}
