//! Replacement: which objects may be deleted and recreated because a field of them cannot be changed.

use serde_json::Value;

use crate::kind::KnownKind;
use crate::object::Object;

/// Returns whether an object may be replaced: nothing is lost by it. A Service of type
/// `LoadBalancer` would lose its address.
pub fn is_replaceable(object: &Object) -> bool {
    KnownKind::of(object).is_some_and(KnownKind::is_replaceable) && !is_load_balancer(object)
}

fn is_load_balancer(object: &Object) -> bool {
    let service_type = object.0.pointer("/spec/type").and_then(Value::as_str);
    object.is(KnownKind::Service) && service_type == Some("LoadBalancer")
}
