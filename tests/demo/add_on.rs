//! The add-on of the demo, in three versions.

use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};

pub const NAMESPACE: &str = "observability";

/// Returns 1.4.0, with a ConfigMap that later versions drop.
pub fn with_extra_config() -> Spec {
    spec("1.4.0", collector("1.4.0", READY).config("legacy", "of 1.4.0"))
}

pub fn healthy() -> Spec {
    spec("1.5.0", collector("1.5.0", READY))
}

/// Returns 1.6.0, which starts but never becomes ready.
pub fn never_ready() -> Spec {
    spec("1.6.0", collector("1.6.0", NEVER_READY)).policy("timeout", "8s")
}

fn collector(version: &str, image: &str) -> Bundle {
    Bundle::new().namespace(NAMESPACE).config("settings", version).deployment("collector", image)
}

fn spec(version: &str, bundle: Bundle) -> Spec {
    Spec::inline(version, &bundle).namespace(NAMESPACE).policy("soak", "2s")
}
