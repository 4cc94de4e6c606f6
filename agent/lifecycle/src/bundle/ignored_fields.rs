//! Ignored fields: they keep the value that they have once the object exists.

use serde_json::Value;

use crate::kind::KnownKind;
use crate::names::annotation;
use crate::object::Object;

/// Returns JSON pointers to the ignored fields of an object: those of its annotation `ignore-differences`, and the replicas
/// if a HorizontalPodAutoscaler of the same bundle scales it.
pub fn pointers<'a>(object: &Object, bundle: impl IntoIterator<Item = &'a Object>) -> Vec<String> {
    let named = object.annotation(annotation::IGNORE_DIFFERENCES).unwrap_or_default();
    let named = named.split(',').map(str::trim).filter(|pointer| pointer.starts_with('/'));
    let mut pointers: Vec<String> = named.map(|pointer| stored_pointer(object, pointer)).collect();
    if bundle.into_iter().any(|other| scales(other, object)) {
        pointers.push("/spec/replicas".to_owned());
    }
    pointers
}

/// Returns where the API server stores a field: `stringData` of a Secret becomes `data`.
fn stored_pointer(object: &Object, pointer: &str) -> String {
    match pointer.strip_prefix("/stringData/") {
        Some(rest) if object.is(KnownKind::Secret) => format!("/data/{rest}"),
        Some(_) | None => pointer.to_owned(),
    }
}

fn scales(scaler: &Object, object: &Object) -> bool {
    let target = |field| scaler.0.pointer(field).and_then(Value::as_str).unwrap_or_default();
    scaler.is(KnownKind::HorizontalPodAutoscaler)
        && scaler.namespace() == object.namespace()
        && target("/spec/scaleTargetRef/kind") == object.kind()
        && target("/spec/scaleTargetRef/name") == object.name()
}

/// Sets the ignored fields to what the living object has there. If they were left out instead, server-side apply would
/// reset those that have no other field manager yet.
pub fn preserve(object: &mut Object, living: &Object, pointers: &[String]) {
    for pointer in pointers {
        let Some((parent, field)) = pointer.rsplit_once('/') else { continue };
        let field = field.replace("~1", "/").replace("~0", "~");
        let Some(Value::Object(fields)) = object.0.pointer_mut(parent) else { continue };
        match living.0.pointer(pointer) {
            Some(value) => _ = fields.insert(field, value.clone()),
            None => _ = fields.remove(&field),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(replicas: u32) -> Object {
        Object(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop"}, "spec": {"replicas": replicas},
        }))
    }

    #[test]
    fn the_replicas_of_a_scaled_object_are_ignored() {
        let scaler = Object(json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
        }));
        let mut ours = deployment(1);
        let pointers = pointers(&ours, [&scaler]);
        preserve(&mut ours, &deployment(5), &pointers);
        assert_eq!(ours, deployment(5));
        assert!(super::pointers(&ours, [&deployment(1)]).is_empty());
    }

    #[test]
    fn annotated_fields_keep_the_value_of_the_living_object() {
        let mut ours = deployment(1);
        ours.set_annotation(annotation::IGNORE_DIFFERENCES, "/spec/replicas, /spec/paused, no");
        let mut living = deployment(2);
        living.0["spec"]["paused"] = json!(true);
        let pointers = pointers(&ours, []);
        preserve(&mut ours, &living, &pointers);
        assert_eq!(ours.0["spec"], json!({"replicas": 2, "paused": true}));
        preserve(&mut ours, &deployment(3), &pointers);
        assert_eq!(ours.0["spec"], json!({"replicas": 3}));
    }
}
