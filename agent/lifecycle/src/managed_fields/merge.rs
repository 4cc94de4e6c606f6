//! The form that a living object will have, for a trial of a write that no dry run of the apply alone can answer.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Map, Value};

use super::entries::{owned, owned_by_others, owned_by_us, transfer};
use super::set::{enter, field, has_keys, is_leaf, items};
use super::{FieldSet, OUTSIDE};
use crate::object::Object;

/// Returns whether a write of the manifest would change more than metadata of the living object: it sets something else, or
/// does not set what we own any more. Some values have several spellings, such as quantities: they count as a change.
pub fn changes(living: &Object, manifest: &Object, owned: &FieldSet, ours: &FieldSet) -> bool {
    let is_inside = |name: &String| !OUTSIDE.contains(&name.as_str());
    let mut fields =
        manifest.0.as_object().into_iter().flatten().filter(|(name, _)| is_inside(name));
    let sets_other = fields.any(|(name, value)| {
        let living = living.0.get(name).unwrap_or(&Value::Null);
        !contains(living, value, owned.0.get(field(name)))
    });
    let dropped = ours.without_value(&manifest.0);
    let mut dropped = dropped.0.as_object().into_iter().flatten();
    sets_other || dropped.any(|(name, _)| !OUTSIDE.contains(&name.trim_start_matches("f:")))
}

/// Returns the merge patch that a server-side apply of the manifest amounts to, once the obsolete fields are ours.
pub fn merge_patch(
    living: &Object,
    manifest: &Object,
    entries: &[ManagedFieldsEntry],
    obsolete: &FieldSet,
) -> Value {
    let owned = owned(entries, manifest.api_version()).unwrap_or_default();
    let entries = transfer(entries, obsolete, manifest.api_version());
    let dropped = owned_by_us(&entries).without_value(&manifest.0);
    let dropped = dropped.without(&owned_by_others(&entries));
    let merged = merge(living, manifest, &owned, &dropped);
    difference(&living.0, &merged.0)
}

/// Returns the merge patch between two values of the same object.
fn difference(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let removed =
        from.keys().filter(|name| !to.contains_key(*name)).map(|name| (name, Value::Null));
    let changed = to.iter().filter_map(|(name, to)| match from.get(name) {
        Some(from) if from == to => None,
        Some(from) => Some((name, difference(from, to))),
        None => Some((name, to.clone())),
    });
    Value::Object(removed.chain(changed).map(|(name, value)| (name.clone(), value)).collect())
}

/// Returns the living object as a server-side apply of the manifest will leave it, without the fields of `removed`. Metadata
/// stays as it is.
fn merge(living: &Object, manifest: &Object, owned: &FieldSet, removed: &FieldSet) -> Object {
    let mut merged = living.clone();
    remove(&mut merged.0, &removed.0);
    let fields = manifest.0.as_object().into_iter().flatten();
    for (name, value) in fields.filter(|(name, _)| !OUTSIDE.contains(&name.as_str())) {
        if let Some(object) = merged.0.as_object_mut() {
            set_field(object, name, value, owned.0.get(field(name)));
        }
    }
    merged
}

/// Returns whether a value has everything that the manifest sets. A null sets nothing.
pub(super) fn contains(living: &Value, manifest: &Value, owned: Option<&Value>) -> bool {
    match (living, manifest) {
        (Value::Object(_), Value::Object(fields)) => fields.iter().all(|(name, value)| {
            let owned = owned.and_then(|owned| owned.get(field(name)));
            contains(living.get(name).unwrap_or(&Value::Null), value, owned)
        }),
        (Value::Array(list), Value::Array(wanted)) => {
            match owned.filter(|owned| has_items(owned)) {
                Some(owned) => wanted.iter().all(|wanted| has_item(list, wanted, owned)),
                None => {
                    let mut pairs = list.iter().zip(wanted);
                    list.len() == wanted.len()
                        && pairs.all(|(own, wanted)| contains(own, wanted, None))
                }
            }
        }
        (_, Value::Null) => true,
        _ => living == manifest,
    }
}

fn has_item(list: &[Value], wanted: &Value, owned: &Value) -> bool {
    items(owned).any(|(_, keys, below)| {
        let own = list.iter().find(|item| has_keys(item, &keys));
        has_keys(wanted, &keys) && own.is_some_and(|own| contains(own, wanted, Some(below)))
    })
}

fn has_items(owned: &Value) -> bool {
    items(owned).next().is_some()
}

/// Removes the leaves of a set, and what becomes empty by it.
fn remove(value: &mut Value, set: &Value) {
    for (name, below) in set.as_object().into_iter().flatten() {
        let Some(mut inner) = enter(value, name).cloned() else { continue };
        remove(&mut inner, below);
        let is_gone = is_leaf(below) || is_empty(&inner);
        put(value, name, (!is_gone).then_some(inner));
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// Sets the value at a node, or removes it.
fn put(value: &mut Value, name: &str, inner: Option<Value>) {
    let old = enter(value, name).cloned();
    match (value, name.strip_prefix("f:"), inner) {
        (Value::Object(fields), Some(name), Some(inner)) => {
            _ = fields.insert(name.to_owned(), inner)
        }
        (Value::Object(fields), Some(name), None) => _ = fields.remove(name),
        (Value::Array(list), None, inner) => {
            let Some(at) = list.iter().position(|item| Some(item) == old.as_ref()) else { return };
            match inner {
                Some(inner) => list[at] = inner,
                None => _ = list.remove(at),
            }
        }
        _ => {}
    }
}

fn set_field(fields: &mut Map<String, Value>, name: &str, value: &Value, owned: Option<&Value>) {
    match fields.get_mut(name) {
        Some(living) => overlay(living, value, owned),
        None => _ = fields.insert(name.to_owned(), value.clone()),
    }
}

fn overlay(living: &mut Value, manifest: &Value, owned: Option<&Value>) {
    let is_whole = owned.is_some_and(is_leaf);
    match (&mut *living, manifest) {
        (Value::Object(fields), Value::Object(wanted)) if !is_whole => {
            for (name, value) in wanted {
                set_field(fields, name, value, owned.and_then(|owned| owned.get(field(name))));
            }
        }
        (Value::Array(list), Value::Array(wanted)) if owned.is_some_and(has_items) => {
            wanted.iter().for_each(|wanted| overlay_item(list, wanted, owned));
        }
        _ => *living = manifest.clone(),
    }
}

fn overlay_item(list: &mut Vec<Value>, wanted: &Value, owned: Option<&Value>) {
    let mut nodes = owned.into_iter().flat_map(items).filter(|(_, keys, _)| has_keys(wanted, keys));
    let found = nodes.find_map(|(_, keys, below)| {
        Some((list.iter().position(|item| has_keys(item, &keys))?, below))
    });
    match found {
        Some((at, below)) => overlay(&mut list[at], wanted, Some(below)),
        None => list.push(wanted.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(spec: Value) -> Object {
        Object(json!({"kind": "X", "metadata": {"name": "a"}, "spec": spec}))
    }

    fn owned() -> FieldSet {
        FieldSet(json!({"f:spec": {
            "f:type": {}, "f:selector": {},
            "f:items": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:x": {}}},
        }}))
    }

    #[test]
    fn the_merged_form_has_what_the_manifest_sets_and_keeps_the_rest() {
        let living = object(json!({
            "type": "old", "allocated": 7, "selector": {"a": "b"}, "stale": {"deep": 1},
            "items": [{"name": "a", "x": 1, "y": 2}],
        }));
        let manifest = object(json!({
            "type": "new", "selector": {"c": "d"}, "items": [{"name": "a", "z": 3}, {"name": "b"}],
        }));
        let removed = FieldSet(json!({"f:spec": {
            "f:stale": {".": {}, "f:deep": {}}, "f:items": {"k:{\"name\":\"a\"}": {"f:x": {}}},
        }}));
        let expected = json!({
            "type": "new", "allocated": 7, "selector": {"c": "d"},
            "items": [{"name": "a", "y": 2, "z": 3}, {"name": "b"}],
        });
        assert_eq!(merge(&living, &manifest, &owned(), &removed).0["spec"], expected);
    }

    #[test]
    fn a_merge_patch_leads_from_one_value_to_the_other() {
        let from = json!({"a": {"b": 1, "c": 2}, "l": [1], "same": 0});
        let to = json!({"a": {"b": 3}, "l": [1, 2], "same": 0, "new": {}});
        let patch = json!({"a": {"b": 3, "c": null}, "l": [1, 2], "new": {}});
        assert_eq!(difference(&from, &to), patch);
    }

    #[test]
    fn a_write_changes_what_it_sets_or_sets_no_more() {
        let living = object(json!({"type": "a", "more": 1, "items": [{"name": "a", "x": 1}]}));
        let table = [
            (json!({"type": "a", "items": [{"name": "a", "x": 1}]}), false),
            (json!({"type": "b", "items": [{"name": "a", "x": 1}]}), true),
            (json!({"type": "a", "items": [{"name": "a", "x": 2}]}), true),
            (json!({"type": "a", "items": [{"name": "a"}]}), true),
            (json!({"items": [{"name": "a", "x": 1}]}), true),
            (json!({"type": "a", "more": null, "items": [{"name": "a", "x": 1}]}), false),
        ];
        let ours = FieldSet(json!({"f:metadata": {"f:labels": {"f:release": {}}}, "f:spec": {
            "f:type": {}, "f:items": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:x": {}}},
        }}));
        for (spec, expected) in table {
            assert_eq!(
                changes(&living, &object(spec.clone()), &owned(), &ours),
                expected,
                "{spec}"
            );
        }
    }
}
