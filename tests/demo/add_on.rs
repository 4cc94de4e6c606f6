//! The add-on of the story, in three versions.

use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};

pub const NAMESPACE: &str = "observability";

/// 1.4.0 brings a ConfigMap that later versions drop.
pub fn with_extra() -> Spec {
    spec("1.4.0", collector("1.4.0", READY).config("legacy", "of 1.4.0"))
}

pub fn good() -> Spec {
    spec("1.5.0", collector("1.5.0", READY))
}

/// 1.6.0 starts but never becomes ready.
pub fn broken() -> Spec {
    spec("1.6.0", collector("1.6.0", NEVER_READY)).policy("timeout", "8s")
}

fn collector(version: &str, image: &str) -> Bundle {
    Bundle::new().namespace(NAMESPACE).config("settings", version).deployment("collector", image)
}

fn spec(version: &str, bundle: Bundle) -> Spec {
    Spec::inline(version, &bundle).namespace(NAMESPACE).policy("soak", "2s")
}
