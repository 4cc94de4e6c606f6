//! The entries of `managedFields`: who owns what, and how ownership moves to us.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::json;

use super::FieldSet;
use crate::names::FIELD_MANAGER;

/// Returns the fields that anyone owns. `None` if a field set is of another API version than the object was read in: its
/// names may mean something else there.
pub fn owned(entries: &[ManagedFieldsEntry], api_version: &str) -> Option<FieldSet> {
    let mut owned = FieldSet::default();
    for entry in entries.iter().filter(|entry| entry.subresource.as_deref() != Some("status")) {
        let is_comparable = entry.api_version.as_deref() == Some(api_version)
            || entry.subresource.as_deref().is_some_and(|name| !name.is_empty());
        if !is_comparable {
            return None;
        }
        owned.add(&set_of(entry));
    }
    Some(owned)
}

/// Returns the fields that we applied.
pub fn owned_by_us(entries: &[ManagedFieldsEntry]) -> FieldSet {
    entries.iter().find(|entry| is_ours(entry)).map(set_of).unwrap_or_default()
}

/// Returns the fields that others than we own.
pub fn owned_by_others(entries: &[ManagedFieldsEntry]) -> FieldSet {
    let mut others = FieldSet::default();
    entries.iter().filter(|entry| !is_ours(entry)).for_each(|entry| others.add(&set_of(entry)));
    others
}

/// Returns the entries after fields became ours alone. An apply of a manifest without them removes them then.
pub fn transfer(
    entries: &[ManagedFieldsEntry],
    taken: &FieldSet,
    api_version: &str,
) -> Vec<ManagedFieldsEntry> {
    let released = entries.iter().cloned().filter_map(|entry| match is_ours(&entry) {
        true => Some(entry),
        false => release(entry, taken),
    });
    give_us(&released.collect::<Vec<_>>(), taken, api_version)
}

/// Returns the entries after fields became ours, too.
pub(super) fn give_us(
    entries: &[ManagedFieldsEntry],
    given: &FieldSet,
    api_version: &str,
) -> Vec<ManagedFieldsEntry> {
    if given.is_empty() {
        return entries.to_vec();
    }
    let (ours, others): (Vec<_>, Vec<_>) = entries.iter().cloned().partition(is_ours);
    let mut fields = owned_by_us(&ours);
    fields.add(given);
    let ours = ours.into_iter().next().unwrap_or_else(|| new_entry(api_version));
    let ours = ManagedFieldsEntry { fields_v1: Some(FieldsV1(fields.0)), ..ours };
    std::iter::once(ours).chain(others).collect()
}

/// Returns the entry without these fields; `None` if it has no others.
pub(super) fn release(entry: ManagedFieldsEntry, taken: &FieldSet) -> Option<ManagedFieldsEntry> {
    let rest = set_of(&entry).without(taken);
    let is_empty = rest.is_empty();
    let rest = ManagedFieldsEntry { fields_v1: Some(FieldsV1(rest.0)), ..entry };
    (!is_empty).then_some(rest)
}

pub(super) fn set_of(entry: &ManagedFieldsEntry) -> FieldSet {
    entry.fields_v1.as_ref().map(|FieldsV1(set)| FieldSet(set.clone())).unwrap_or_default()
}

pub(super) fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.as_deref().is_none_or(str::is_empty)
}

fn new_entry(api_version: &str) -> ManagedFieldsEntry {
    ManagedFieldsEntry {
        manager: Some(FIELD_MANAGER.to_owned()),
        operation: Some("Apply".to_owned()),
        api_version: Some(api_version.to_owned()),
        fields_type: Some("FieldsV1".to_owned()),
        fields_v1: Some(FieldsV1(json!({}))),
        ..ManagedFieldsEntry::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, fields: serde_json::Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            fields_v1: Some(FieldsV1(fields)),
            ..new_entry("v1")
        }
    }

    #[test]
    fn transferred_fields_are_ours_alone() {
        let entries = [
            entry("kubectl-patch", "Update", json!({"f:spec": {"f:a": {}, "f:b": {}}})),
            entry("other", "Update", json!({"f:spec": {"f:a": {}}})),
        ];
        let taken = FieldSet(json!({"f:spec": {"f:a": {}}}));
        let moved = transfer(&entries, &taken, "v1");
        let sets: Vec<_> = moved.iter().map(|it| (it.manager.as_deref(), set_of(it).0)).collect();
        let expected = [
            (Some(FIELD_MANAGER), json!({"f:spec": {"f:a": {}}})),
            (Some("kubectl-patch"), json!({"f:spec": {"f:b": {}}})),
        ];
        assert_eq!(sets, expected);
    }

    #[test]
    fn sets_of_another_api_version_cannot_be_compared() {
        let older = entry("helm", "Update", json!({"f:spec": {}}));
        assert!(owned(std::slice::from_ref(&older), "v1").is_some());
        assert!(owned(&[older], "v2").is_none());
    }
}
