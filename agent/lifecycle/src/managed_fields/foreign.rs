//! Foreign values of an object: what other managers set beside the manifest.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Map, Value};

use super::entries::{is_ours, set_of};
use super::set::is_leaf;
use crate::names::CONTROLLERS;
use crate::object::Object;

/// Returns the values that each manager set and the manifest does not, as merge patches. Fields of Kubernetes' own
/// controllers and of the status are left out, and items of lists, which a merge patch cannot add.
pub fn foreign_values(
    entries: &[ManagedFieldsEntry],
    living: &Object,
    manifest: &Object,
) -> BTreeMap<String, Value> {
    let mut foreign = BTreeMap::new();
    for entry in entries.iter().filter(|entry| is_foreign(entry)) {
        let set = set_of(entry).without_value(&manifest.0);
        let values = extract(&set.0, &living.0);
        let Some(values) =
            values.filter(|values| values.as_object().is_some_and(|it| !it.is_empty()))
        else {
            continue;
        };
        foreign.insert(entry.manager.clone().unwrap_or_default(), values);
    }
    foreign
}

fn is_foreign(entry: &ManagedFieldsEntry) -> bool {
    let manager = entry.manager.as_deref().unwrap_or_default();
    !is_ours(entry)
        && entry.subresource.as_deref().is_none_or(str::is_empty)
        && !CONTROLLERS.contains(&manager)
}

/// Returns the values at the leaves of a set.
fn extract(set: &Value, living: &Value) -> Option<Value> {
    if is_leaf(set) {
        return Some(living.clone());
    }
    let children = set.as_object().into_iter().flatten().filter_map(|(name, below)| {
        let name = name.strip_prefix("f:")?;
        Some((name.to_owned(), extract(below, living.get(name)?)?))
    });
    let values: Map<String, Value> = children.collect();
    (!values.is_empty()).then_some(Value::Object(values))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldsV1;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_others_are_kept_beside_the_manifest() {
        let living = Object(json!({
            "metadata": {"labels": {"team": "a", "app": "b"}}, "data": {"ours": "x", "theirs": "y"},
            "list": [{"name": "z"}], "status": {"ready": true},
        }));
        let manifest = Object(json!({"metadata": {"labels": {"app": "b"}}, "data": {"ours": "x"}}));
        let entry = |manager: &str, subresource: Option<&str>, fields: Value| ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some("Update".to_owned()),
            subresource: subresource.map(str::to_owned),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        };
        let user = json!({
            "f:metadata": {"f:labels": {".": {}, "f:team": {}, "f:app": {}}},
            "f:data": {"f:ours": {}, "f:theirs": {}},
            "f:list": {"k:{\"name\":\"z\"}": {".": {}, "f:name": {}}},
        });
        let entries = [
            entry("kubectl-edit", None, user),
            entry("kube-controller-manager", None, json!({"f:data": {"f:theirs": {}}})),
            entry("operator", Some("status"), json!({"f:status": {"f:ready": {}}})),
        ];
        let kept = json!({"metadata": {"labels": {"team": "a"}}, "data": {"theirs": "y"}});
        let expected = BTreeMap::from([("kubectl-edit".to_owned(), kept)]);
        assert_eq!(foreign_values(&entries, &living, &manifest), expected);
    }
}
