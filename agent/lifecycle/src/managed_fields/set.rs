//! A set of fields as a trie, with the operations of sets.

use serde_json::{Map, Value, json};

/// A set of fields of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSet(pub Value);

impl Default for FieldSet {
    fn default() -> Self {
        Self(json!({}))
    }
}

impl FieldSet {
    /// Returns whether the set has no field.
    pub fn is_empty(&self) -> bool {
        is_leaf(&self.0)
    }

    /// Adds the fields of another set.
    pub fn add(&mut self, other: &Self) {
        add(&mut self.0, &other.0);
    }

    /// Returns the fields that the other set does not have. A leaf of the other set covers everything below it.
    pub fn without(&self, other: &Self) -> Self {
        without(&self.0, &other.0).map(Self).unwrap_or_default()
    }

    /// Returns the fields that a manifest does not set.
    pub fn without_value(&self, manifest: &Value) -> Self {
        without_value(&self.0, manifest).map(Self).unwrap_or_default()
    }

    /// Returns the paths of the set's fields, such as `spec.ports[http].port`, without values of keys.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        collect_paths(&self.0, String::new(), &mut paths);
        paths
    }
}

/// Returns the set of everything in a value. A list below is a leaf.
pub(super) fn everything(value: &Value) -> Value {
    let mut node = Map::new();
    for (name, below) in value.as_object().into_iter().flatten() {
        node.insert(field(name), everything(below));
    }
    if !node.is_empty() {
        node.insert(".".to_owned(), json!({}));
    }
    Value::Object(node)
}

/// The name of a field's node.
pub(super) fn field(name: &str) -> String {
    format!("f:{name}")
}

pub(super) fn is_leaf(node: &Value) -> bool {
    node.as_object().is_none_or(Map::is_empty)
}

/// Returns the nodes of a list's items with their keys; none for a list that has one owner as a whole.
pub(super) fn items(node: &Value) -> impl Iterator<Item = (&String, Value, &Value)> {
    node.as_object().into_iter().flatten().filter_map(|(name, below)| {
        let keys = serde_json::from_str(name.strip_prefix("k:")?).ok()?;
        Some((name, keys, below))
    })
}

/// Returns whether a list item has these keys. A key that the item leaves out has its default, so it matches.
pub(crate) fn has_keys(item: &Value, keys: &Value) -> bool {
    let mut keys = keys.as_object().into_iter().flatten();
    keys.all(|(key, value)| item.get(key).is_none_or(|own| own == value))
}

/// Returns the value at a node of the trie.
pub(super) fn enter<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let (node, name) = name.split_once(':')?;
    if node == "f" {
        return value.get(name);
    }
    let wanted: Value = serde_json::from_str(name).ok()?;
    let mut items = value.as_array()?.iter();
    match node {
        "k" => items.find(|item| has_keys(item, &wanted)),
        "v" => items.find(|item| **item == wanted),
        _ => items.nth(usize::try_from(wanted.as_u64()?).ok()?),
    }
}

fn add(into: &mut Value, from: &Value) {
    let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) else { return };
    for (name, below) in from {
        add(into.entry(name).or_insert_with(|| json!({})), below);
    }
}

fn without(set: &Value, other: &Value) -> Option<Value> {
    filter(set, |name, below| match other.get(name) {
        None => Some(below.clone()),
        Some(other) if is_leaf(other) => None,
        Some(other) => without(below, other),
    })
}

fn without_value(set: &Value, manifest: &Value) -> Option<Value> {
    filter(set, |name, below| match enter(manifest, name) {
        _ if name == "." => None,
        None => Some(below.clone()),
        Some(_) if is_leaf(below) => None,
        Some(value) => without_value(below, value),
    })
}

/// Returns the children that `keep` returns; `None` if there are none.
pub(super) fn filter(
    set: &Value,
    keep: impl Fn(&String, &Value) -> Option<Value>,
) -> Option<Value> {
    let children = set.as_object()?.iter();
    let kept: Map<String, Value> =
        children.filter_map(|(name, below)| Some((name.clone(), keep(name, below)?))).collect();
    (!kept.is_empty()).then_some(Value::Object(kept))
}

fn collect_paths(node: &Value, path: String, paths: &mut Vec<String>) {
    let children = node.as_object().into_iter().flatten().filter(|(name, _)| *name != ".");
    let mut is_end = true;
    for (name, below) in children {
        is_end = false;
        collect_paths(below, join(&path, name), paths);
    }
    if is_end && !path.is_empty() {
        paths.push(path);
    }
}

/// Appends a node to a path. Of an item only its name is shown: other keys may be values.
fn join(path: &str, node: &str) -> String {
    match node.strip_prefix("f:") {
        Some(name) if path.is_empty() => name.to_owned(),
        Some(name) => format!("{path}.{name}"),
        None => {
            let keys = node.strip_prefix("k:").unwrap_or_default();
            let keys: Value = serde_json::from_str(keys).unwrap_or_default();
            let name = keys.get("name").and_then(Value::as_str).unwrap_or_default();
            format!("{path}[{name}]")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_added_and_subtracted() {
        let set = |value: Value| FieldSet(value);
        let table = [
            (json!({"f:a": {}}), json!({"f:a": {}}), json!({})),
            (
                json!({"f:a": {"f:b": {}, "f:c": {}}}),
                json!({"f:a": {"f:b": {}}}),
                json!({"f:a": {"f:c": {}}}),
            ),
            (json!({"f:a": {".": {}, "f:b": {}}}), json!({"f:a": {}}), json!({})),
            (json!({"f:a": {}}), json!({"f:b": {}}), json!({"f:a": {}})),
        ];
        for (left, right, expected) in table {
            assert_eq!(
                set(left.clone()).without(&set(right.clone())).0,
                expected,
                "{left} {right}"
            );
            let mut both = set(expected);
            both.add(&set(right.clone()));
            assert!(set(left.clone()).without(&both).is_empty(), "{left} {right}");
        }
    }

    #[test]
    fn fields_that_a_manifest_sets_are_subtracted() {
        let set = FieldSet(json!({"f:spec": {
            "f:type": {}, "f:gone": {},
            "f:ports": {".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}, "f:name": {}},
                "k:{\"port\":81,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}},
        }}));
        let manifest = json!({"spec": {"type": "ClusterIP", "ports": [{"port": 80}]}});
        let left = set.without_value(&manifest);
        assert_eq!(left.paths(), ["spec.gone", "spec.ports[].name", "spec.ports[].port"]);
    }
}
