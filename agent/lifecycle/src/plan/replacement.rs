//! Replacement: which objects may be deleted and recreated because a field of them cannot be changed.

use serde_json::Value;

use crate::kind::KnownKind;
use crate::object::Object;

/// Returns whether an object may be replaced: nothing is lost by it, and it makes a difference. A Service of type
/// `LoadBalancer` would lose its address.
pub fn is_replaceable(object: &Object) -> bool {
    KnownKind::of(object).is_some_and(KnownKind::is_replaceable)
        && !is_load_balancer(object)
        && !contradicts_itself(object)
}

fn is_load_balancer(object: &Object) -> bool {
    let service_type = object.0.pointer("/spec/type").and_then(Value::as_str);
    object.is(KnownKind::Service) && service_type == Some("LoadBalancer")
}

/// Returns whether the API server would also refuse a new object: a Deployment that is recreated takes no `rollingUpdate`.
fn contradicts_itself(object: &Object) -> bool {
    let field = |pointer| object.0.pointer(pointer).filter(|value| !value.is_null());
    object.is(KnownKind::Deployment)
        && field("/spec/strategy/type").is_some_and(|strategy| strategy == "Recreate")
        && field("/spec/strategy/rollingUpdate").is_some()
}
