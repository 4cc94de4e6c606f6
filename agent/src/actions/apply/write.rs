//! Writes one object by server-side apply.

use std::collections::BTreeSet;

use kube::Error;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;
use lifecycle::bundle::ignored_fields;
use lifecycle::managed_fields::FieldSet;
use lifecycle::names::FIELD_MANAGER;
use lifecycle::plan::replacement::is_replaceable;
use lifecycle::{Fault, Object, Reason};

use super::replace::replace;
use crate::cluster::access::Access;
use crate::cluster::error;
use crate::cluster::living::LivingObject;
use crate::cluster::obsolete_fields;
use crate::cluster::resolved::ResolvedObject;

/// Writes the object as its release has it, or replaces it if a field cannot be changed. Returns the resourceVersion after
/// the write; `None` after a replacement.
///
/// # Errors
/// A transient fault if the living object is being deleted: the next attempt after its end creates it.
pub async fn write(
    access: &Access,
    object: &ResolvedObject,
    living: Option<&LivingObject>,
) -> Result<Option<String>, Fault> {
    refuse_terminating(object, living)?;
    let manifest = keep_ignored_fields(object, living);
    let write = Write { access, object, living, manifest, api: access.api(object).await? };
    match write.run().await? {
        Ok(version) => Ok(version),
        Err(error) => write.replace_if_immutable(&error).await.map(|()| None),
    }
}

/// One write of one object.
struct Write<'a> {
    access: &'a Access,
    object: &'a ResolvedObject,
    living: Option<&'a LivingObject>,
    manifest: Object,
    api: Api<DynamicObject>,
}

impl Write<'_> {
    /// Removes obsolete fields and applies. The inner error is the refusal of the apply.
    async fn run(&self) -> Result<Result<Option<String>, Error>, Fault> {
        let obsolete = self.find_obsolete(&BTreeSet::new()).await;
        if let Ok(obsolete) = &obsolete {
            self.take_over(obsolete).await?;
        }
        let refusal = match self.apply().await {
            Err(error) if error::is_invalid(&error) => error,
            applied_or_failed => return Ok(applied_or_failed),
        };
        // Without an answer the refusal may be about what would have been removed.
        let before = obsolete?;
        let duplicates = error::duplicates(&refusal);
        if duplicates.is_empty() {
            return Ok(Err(refusal));
        }
        let obsolete = self.find_obsolete(&duplicates).await?;
        if obsolete == before {
            return Ok(Err(refusal));
        }
        self.take_over(&obsolete).await?;
        Ok(self.apply().await)
    }

    async fn find_obsolete(&self, duplicates: &BTreeSet<String>) -> Result<FieldSet, Fault> {
        let Some(living) = self.living else { return Ok(FieldSet::default()) };
        let Self { access, object, manifest, .. } = self;
        obsolete_fields::find(access, object, manifest, living, duplicates).await
    }

    async fn take_over(&self, obsolete: &FieldSet) -> Result<(), Fault> {
        let Some(living) = self.living else { return Ok(()) };
        obsolete_fields::take_over(self.access, self.object, living, obsolete).await
    }

    async fn apply(&self) -> Result<Option<String>, Error> {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&self.manifest);
        let written = self.api.patch(self.object.name(), &params, &patch).await?;
        Ok(written.metadata.resource_version)
    }

    async fn replace_if_immutable(&self, error: &Error) -> Result<(), Fault> {
        let Self { access, object, living, manifest, .. } = self;
        let fault = error::to_object_fault(&object.key(), error);
        if fault.reason != Reason::ImmutableField || !is_replaceable(&object.manifest) {
            return Err(retry_unknown_kind(access, object, fault));
        }
        match living {
            Some(_) => replace(access, object, manifest, *living).await,
            // It was created just now, and not by this add-on: the next attempt reads it.
            None => Err(Fault { transient: true, ..fault }),
        }
    }
}

/// A write onto an object that is being deleted would vanish with it.
fn refuse_terminating(object: &ResolvedObject, living: Option<&LivingObject>) -> Result<(), Fault> {
    let Some(living) = living.filter(|living| living.is_terminating()) else { return Ok(()) };
    let finalizers = living.metadata.finalizers.as_deref().unwrap_or_default();
    let held = match finalizers {
        [] => String::new(),
        finalizers => format!(", held by finalizer {}", finalizers.join(", ")),
    };
    let message = format!("{} is being deleted; waiting for its end{held}", object.key());
    Err(Fault::transient(Reason::ApplyFailed, message))
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
