//! Writes one object by server-side apply.

use kube::api::{Patch, PatchParams};
use lifecycle::bundle::ignored_fields;
use lifecycle::names::FIELD_MANAGER;
use lifecycle::plan::replacement::is_replaceable;
use lifecycle::{Fault, Object, Reason};

use super::replace::replace;
use crate::cluster::access::Access;
use crate::cluster::error;
use crate::cluster::living::LivingObject;
use crate::cluster::resolved::ResolvedObject;

/// Writes the object as its release has it, or replaces it if a field cannot be changed. Returns the resourceVersion after
/// the write; `None` after a replacement.
pub async fn write(
    access: &Access,
    object: &ResolvedObject,
    living: Option<&LivingObject>,
) -> Result<Option<String>, Fault> {
    let api = access.api(object).await?;
    let manifest = keep_ignored_fields(object, living);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let error = match api.patch(object.name(), &params, &Patch::Apply(&manifest)).await {
        Ok(written) => return Ok(written.metadata.resource_version),
        Err(error) => error,
    };
    let fault = error::to_object_fault(&object.key(), &error);
    if fault.reason != Reason::ImmutableField || !is_replaceable(&object.manifest) {
        return Err(retry_unknown_kind(access, object, fault));
    }
    match living {
        Some(_) => replace(access, object, living).await.map(|()| None),
        // It was created just now, and not by this add-on: the next attempt reads it.
        None => Err(Fault { transient: true, ..fault }),
    }
}

fn keep_ignored_fields(object: &ResolvedObject, living: Option<&LivingObject>) -> Object {
    let mut manifest = object.manifest.clone();
    if let Some(content) = living.and_then(LivingObject::content) {
        ignored_fields::preserve(&mut manifest, content, &object.ignored_fields);
    }
    manifest
}

/// Makes an unknown kind transient and forgets it. Its definition may be new or not served for a moment, which a rollout
/// waits for after the first write.
pub fn retry_unknown_kind(access: &Access, object: &ResolvedObject, fault: Fault) -> Fault {
    if fault.reason != Reason::UnknownKind {
        return fault;
    }
    access.cluster.kinds().forget(object.manifest.api_version(), object.manifest.kind());
    Fault { transient: true, ..fault }
}
