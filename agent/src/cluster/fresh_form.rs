//! The fresh form of an object: what the API server would make of its manifest if there was none of its name.

use kube::api::PostParams;
use kube::core::DynamicObject;
use lifecycle::names::FIELD_MANAGER;
use lifecycle::{Fault, KnownKind, Object};
use serde_json::Value;

use crate::cluster::access::Access;
use crate::cluster::error;
use crate::cluster::living::to_object;
use crate::cluster::resolved::ResolvedObject;

/// Of the name as much as leaves room for five generated characters in the shortest limit, that of a Service.
const STEM_LENGTH: usize = 50;

/// Returns the fresh form, by the dry run of a create under a generated name. `None` where it cannot be asked: the name is
/// part of what the object is, or the create is refused.
///
/// # Errors
/// A transient fault if the API server had no answer.
pub async fn fresh_form(
    access: &Access,
    object: &ResolvedObject,
    manifest: &Object,
) -> Result<Option<Object>, Fault> {
    if has_meaningful_name(manifest) {
        return Ok(None);
    }
    let Ok(unnamed) = serde_json::from_value::<DynamicObject>(unnamed(manifest).0) else {
        return Ok(None);
    };
    let params = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.to_owned()) };
    match access.api(object).await?.create(&params, &unnamed).await {
        Ok(fresh) => Ok(Some(to_object(fresh))),
        Err(error) => {
            let fault = error::to_object_fault(&object.key(), &error);
            tracing::debug!(object = %object.key(), cause = fault.message, "no fresh form");
            if fault.transient { Err(fault) } else { Ok(None) }
        }
    }
}

fn has_meaningful_name(manifest: &Object) -> bool {
    [KnownKind::Namespace, KnownKind::CustomResourceDefinition, KnownKind::ApiService]
        .iter()
        .any(|kind| manifest.is(*kind))
}

/// Returns the manifest under a generated name, without what only one object can have at a time.
fn unnamed(manifest: &Object) -> Object {
    let mut unnamed = manifest.clone();
    let stem: String = manifest.name().chars().take(STEM_LENGTH).collect();
    if let Some(Value::Object(metadata)) = unnamed.0.get_mut("metadata") {
        metadata.remove("name");
        metadata.insert("generateName".to_owned(), format!("{stem}-").into());
    }
    if manifest.is(KnownKind::Service) {
        release_allocated(&mut unnamed);
    }
    unnamed
}

/// Addresses and ports of nodes are the living Service's own. `None` as `clusterIP` is no address.
fn release_allocated(service: &mut Object) {
    let Some(Value::Object(spec)) = service.0.get_mut("spec") else { return };
    if spec.get("clusterIP").is_some_and(|address| address != "None") {
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
    spec.remove("healthCheckNodePort");
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            port.remove("nodePort");
        }
    }
}
