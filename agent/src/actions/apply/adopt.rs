//! Takes over an object of another manager: fields that its manifests set become ours, so that those a later bundle
//! drops go away.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use kube::api::{Patch, PatchParams};
use lifecycle::Fault;
use lifecycle::names::{CONTROLLERS, FIELD_MANAGER, annotation, label};
use lifecycle::ownership::adoption;
use serde_json::{Value, json};

use crate::cluster::access::{Access, Living};
use crate::cluster::error;
use crate::cluster::resolved::ResolvedObject;

/// The object with the mark of who took it over, as long as that counts.
pub fn marked<'a>(
    access: &Access<'_>,
    placed: &'a ResolvedObject,
    living: Option<&Living>,
) -> Cow<'a, ResolvedObject> {
    let Some(living) = living else { return Cow::Borrowed(placed) };
    let this = placed.object.label(label::RELEASE).unwrap_or_default();
    let ours = living.owner().is_some();
    let available = access.available.as_ref();
    match adoption::taken_over_by(living.taken_over_by(), ours, this, available) {
        None => Cow::Borrowed(placed),
        Some(by) => {
            let mut marked = placed.clone();
            marked.object.mark("annotations", annotation::TAKEN_OVER_BY, by);
            Cow::Owned(marked)
        }
    }
}

pub async fn take_over(
    access: &Access<'_>,
    placed: &ResolvedObject,
    living: Living,
) -> Result<(), Fault> {
    if living.owner().is_some() {
        return Ok(());
    }
    let metadata = living.0.metadata;
    let entries = merged(metadata.managed_fields.unwrap_or_default());
    let patch = json!({"metadata": {
        "resourceVersion": metadata.resource_version,
        "managedFields": entries,
    }});
    let (_, api) = access.api(placed).await?;
    tracing::info!(object = %placed.object.key(), "adopting");
    api.patch_metadata(placed.object.name(), &PatchParams::default(), &Patch::Merge(patch))
        .await
        .map(|_| ())
        .map_err(|e| error::to_object_fault(&placed.object.key(), &e))
}

/// All managers' fields in one entry of ours; status and what controllers wrote stay theirs.
fn merged(entries: Vec<ManagedFieldsEntry>) -> Vec<ManagedFieldsEntry> {
    let (others, manifests): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| {
        let manager = entry.manager.as_deref().unwrap_or_default();
        entry.subresource.as_deref().is_some_and(|sub| !sub.is_empty())
            || CONTROLLERS.contains(&manager)
    });
    let newest = manifests.iter().max_by_key(|entry| entry.time.as_ref().map(|time| time.0));
    let Some(newest) = newest.cloned() else { return others };
    let mut fields = json!({});
    for entry in &manifests {
        if let Some(FieldsV1(more)) = &entry.fields_v1 {
            unite(&mut fields, more);
        }
    }
    let ours = ManagedFieldsEntry {
        manager: Some(FIELD_MANAGER.to_owned()),
        operation: Some("Apply".to_owned()),
        fields_v1: Some(FieldsV1(fields)),
        ..newest
    };
    std::iter::once(ours).chain(others).collect()
}

/// FieldsV1 is a trie of field names: its union is the merge of the maps.
fn unite(into: &mut Value, more: &Value) {
    let (Some(into), Some(more)) = (into.as_object_mut(), more.as_object()) else { return };
    for (field, below) in more {
        unite(into.entry(field).or_insert_with(|| json!({})), below);
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
    fn the_manifests_fields_become_ours_and_the_controllers_stay() {
        let merged = merged(vec![
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
