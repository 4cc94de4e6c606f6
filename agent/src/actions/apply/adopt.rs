//! Adopts an object of other managers: the fields that their manifests set become ours, so that a later bundle can drop
//! them.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use kube::api::{Patch, PatchParams};
use lifecycle::Fault;
use lifecycle::names::{CONTROLLERS, FIELD_MANAGER, annotation, label};
use lifecycle::ownership::adoption;
use serde_json::{Value, json};

use crate::cluster::access::Access;
use crate::cluster::error;
use crate::cluster::living::LivingObject;
use crate::cluster::resolved::ResolvedObject;

/// Returns the object with the annotation that names the release which adopted it, as long as that matters.
pub fn mark_adopted<'a>(
    access: &Access,
    object: &'a ResolvedObject,
    living: Option<&LivingObject>,
) -> Cow<'a, ResolvedObject> {
    let Some(living) = living else { return Cow::Borrowed(object) };
    let release = object.manifest.label(label::RELEASE).unwrap_or_default();
    let is_ours = living.owner().is_some();
    let available = access.available.as_ref();
    match adoption::adopter(living.adopted_by(), is_ours, release, available) {
        None => Cow::Borrowed(object),
        Some(adopter) => {
            let mut marked = object.clone();
            marked.manifest.set_annotation(annotation::TAKEN_OVER_BY, adopter);
            Cow::Owned(marked)
        }
    }
}

/// Makes the fields of an object without an owner ours. Refused if the object changed since it was read.
pub async fn take_ownership(
    access: &Access,
    object: &ResolvedObject,
    living: &LivingObject,
) -> Result<(), Fault> {
    if living.owner().is_some() {
        return Ok(());
    }
    let entries = living.metadata.managed_fields.clone().unwrap_or_default();
    let patch = json!({"metadata": {
        "resourceVersion": living.metadata.resource_version,
        "managedFields": merge_manifests(entries),
    }});
    tracing::info!(object = %object.key(), "adopting an object");
    let api = access.api(object).await?;
    let params = PatchParams::default();
    let patched = api.patch_metadata(object.name(), &params, &Patch::Merge(patch)).await;
    patched.map(drop).map_err(|e| error::to_object_fault(&object.key(), &e))
}

/// Merges the fields of all manifests into one entry of ours. Status and the fields of controllers stay theirs.
fn merge_manifests(entries: Vec<ManagedFieldsEntry>) -> Vec<ManagedFieldsEntry> {
    let (foreign, manifests): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_controllers);
    let newest = manifests.iter().max_by_key(|entry| entry.time.as_ref().map(|time| time.0));
    let Some(newest) = newest.cloned() else { return foreign };
    let mut fields = json!({});
    for FieldsV1(set) in manifests.iter().filter_map(|entry| entry.fields_v1.as_ref()) {
        merge_fields(&mut fields, set);
    }
    let ours = ManagedFieldsEntry {
        manager: Some(FIELD_MANAGER.to_owned()),
        operation: Some("Apply".to_owned()),
        fields_v1: Some(FieldsV1(fields)),
        ..newest
    };
    std::iter::once(ours).chain(foreign).collect()
}

fn is_controllers(entry: &ManagedFieldsEntry) -> bool {
    let manager = entry.manager.as_deref().unwrap_or_default();
    entry.subresource.as_deref().is_some_and(|name| !name.is_empty())
        || CONTROLLERS.contains(&manager)
}

/// FieldsV1 is a trie of field names: the union of two is the merge of their maps.
fn merge_fields(into: &mut Value, from: &Value) {
    let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) else { return };
    for (field, below) in from {
        merge_fields(into.entry(field).or_insert_with(|| json!({})), below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, subresource: Option<&str>, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some("Update".to_owned()),
            subresource: subresource.map(str::to_owned),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn fields_of_manifests_become_ours_and_fields_of_controllers_stay_theirs() {
        let merged = merge_manifests(vec![
            entry("kubectl", None, json!({"f:data": {"f:a": {}}})),
            entry("helm", None, json!({"f:data": {"f:b": {}}})),
            entry("kube-controller-manager", Some("status"), json!({"f:status": {}})),
        ]);
        let managers: Vec<_> = merged.iter().filter_map(|entry| entry.manager.clone()).collect();
        assert_eq!(managers, [FIELD_MANAGER, "kube-controller-manager"]);
        let ours = merged[0].fields_v1.as_ref().map(|fields| &fields.0);
        assert_eq!(ours, Some(&json!({"f:data": {"f:a": {}, "f:b": {}}})));
    }
}
