//! Obsolete fields: what a write has to remove from the living object and server-side apply leaves, because the field is
//! not ours. It becomes ours first; the apply of a manifest without it then removes it in the same write.

use std::collections::BTreeSet;

use lifecycle::managed_fields::{
    FieldSet, changes, edited_items, owned, owned_by_others, owned_by_us, stale_fields, transfer,
};
use lifecycle::{Fault, Object};

use crate::cluster::access::Access;
use crate::cluster::fresh_form::fresh_form;
use crate::cluster::living::LivingObject;
use crate::cluster::resolved::ResolvedObject;

/// Returns the fields of the living object that a write of the manifest has to remove: defaults of an earlier form, and list
/// items whose key somebody edited. `duplicates` are values that the API server refused because two items have them.
///
/// A write that changes nothing costs no request, any other one.
///
/// # Errors
/// A transient fault if the API server had no answer.
pub async fn find(
    access: &Access,
    object: &ResolvedObject,
    manifest: &Object,
    living: &LivingObject,
    duplicates: &BTreeSet<String>,
) -> Result<FieldSet, Fault> {
    let entries = living.managed_fields();
    let (Some(content), Some(owned)) = (living.content(), owned(entries, manifest.api_version()))
    else {
        return Ok(FieldSet::default());
    };
    let ours = owned_by_us(entries);
    if !changes(content, manifest, &owned, &ours) {
        return Ok(FieldSet::default());
    }
    let mut obsolete = edited_items(content, manifest, &owned, &ours, duplicates);
    if let Some(fresh) = fresh_form(access, object, manifest).await? {
        obsolete.add(&stale_fields(content, &fresh, &owned, &owned_by_others(entries)));
    }
    Ok(obsolete)
}

/// Makes fields ours alone. Refused if the object changed since it was read.
pub async fn take_over(
    access: &Access,
    object: &ResolvedObject,
    living: &LivingObject,
    fields: &FieldSet,
) -> Result<(), Fault> {
    if fields.is_empty() {
        return Ok(());
    }
    let paths = fields.paths().join(", ");
    tracing::info!(object = %object.key(), fields = paths, "removing fields of an earlier form");
    let entries = transfer(living.managed_fields(), fields, object.manifest.api_version());
    access.set_managed_fields(object, living, &entries).await.map(drop)
}
