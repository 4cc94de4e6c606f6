//! List items whose key somebody edited: the manifest's item is missing, and a foreign one stands in its place. Putting
//! ours beside it would be refused, or would double it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::merge::contains;
use super::set::{everything, field, has_keys, is_leaf, items};
use super::stale::node;
use super::{FieldSet, OUTSIDE};
use crate::object::Object;

/// Returns the foreign items that stand in the place of items of the manifest. An item that somebody merely added is not
/// among them.
///
/// `owned` are the fields that anyone owns, `ours` those that we applied. `duplicates` are values that the API server
/// refused because two items have them.
pub fn edited_items(
    living: &Object,
    manifest: &Object,
    owned: &FieldSet,
    ours: &FieldSet,
    duplicates: &BTreeSet<String>,
) -> FieldSet {
    let search = Search { duplicates };
    let fields = manifest.0.as_object().into_iter().flatten();
    let edited =
        fields.filter(|(name, _)| !OUTSIDE.contains(&name.as_str())).map(|(name, value)| {
            let living = living.0.get(name).unwrap_or(&Value::Null);
            let name = field(name);
            let found = search.edited(living, value, owned.0.get(&name), ours.0.get(&name));
            (name, found)
        });
    node(edited).map(FieldSet).unwrap_or_default()
}

struct Search<'a> {
    duplicates: &'a BTreeSet<String>,
}

impl Search<'_> {
    fn edited(
        &self,
        living: &Value,
        manifest: &Value,
        owned: Option<&Value>,
        ours: Option<&Value>,
    ) -> Option<Value> {
        let owned = owned.filter(|owned| !is_leaf(owned))?;
        match (living, manifest) {
            (Value::Object(_), Value::Object(fields)) => {
                node(fields.iter().map(|(name, value)| {
                    let living = living.get(name).unwrap_or(&Value::Null);
                    let name = field(name);
                    let (owned, ours) = (owned.get(&name), ours.and_then(|ours| ours.get(&name)));
                    let found = self.edited(living, value, owned, ours);
                    (name, found)
                }))
            }
            (Value::Array(living), Value::Array(wanted)) => {
                node(items(owned).map(|(name, keys, below)| {
                    let ours = ours.and_then(|ours| ours.get(name));
                    (name.clone(), self.edited_item(living, wanted, &keys, below, ours))
                }))
            }
            _ => None,
        }
    }

    fn edited_item(
        &self,
        living: &[Value],
        wanted: &[Value],
        keys: &Value,
        owned: &Value,
        ours: Option<&Value>,
    ) -> Option<Value> {
        let item = living.iter().find(|item| has_keys(item, keys))?;
        if let Some(wanted) = wanted.iter().find(|wanted| has_keys(wanted, keys)) {
            return self.edited(item, wanted, Some(owned), ours);
        }
        let is_missing =
            |wanted: &Value| !living.iter().any(|item| has_same_keys(item, wanted, keys));
        let stands_for = |wanted: &Value| {
            (is_missing(wanted) && is_same_but_keys(item, wanted, keys))
                || self.is_duplicate(item, wanted, keys)
        };
        (ours.is_none() && wanted.iter().any(stands_for)).then(|| everything(item))
    }

    fn is_duplicate(&self, item: &Value, wanted: &Value, keys: &Value) -> bool {
        other_fields(wanted, keys).any(|(name, value)| {
            let text = value.as_str().is_some_and(|text| self.duplicates.contains(text));
            text && item.get(name) == Some(value)
        })
    }
}

fn has_same_keys(item: &Value, wanted: &Value, keys: &Value) -> bool {
    let mut keys = keys.as_object().into_iter().flatten();
    keys.all(|(key, _)| wanted.get(key).is_none_or(|value| item.get(key) == Some(value)))
}

/// An item that has nothing but keys is like any other.
fn is_same_but_keys(item: &Value, wanted: &Value, keys: &Value) -> bool {
    let mut others = other_fields(wanted, keys).peekable();
    others.peek().is_some()
        && others.all(|(name, value)| item.get(name).is_some_and(|own| contains(own, value, None)))
}

fn other_fields<'a>(
    wanted: &'a Value,
    keys: &'a Value,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    wanted.as_object().into_iter().flatten().filter(|(name, _)| keys.get(name.as_str()).is_none())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Case, living ports, ports that we own, duplicate values, keys of the edited items.
    type Row<'a> = (&'a str, Vec<Value>, &'a [u16], &'a [&'a str], &'a [&'a str]);

    fn port(port: u16, name: &str, target: u16) -> Value {
        json!({"name": name, "port": port, "protocol": "TCP", "targetPort": target})
    }

    /// Returns the keys of the edited items; ports of `ours` are in our entry.
    fn edited(
        living: &[Value],
        wanted: &[Value],
        ours: &[u16],
        duplicates: &[&str],
    ) -> Vec<String> {
        let object = |ports: &[Value]| Object(json!({"kind": "Service", "spec": {"ports": ports}}));
        let key = |port: &Value| format!("k:{{\"port\":{port},\"protocol\":\"TCP\"}}");
        let set = |ports: Vec<Value>| {
            let items = ports.iter().map(|port| (key(port), json!({".": {}, "f:port": {}})));
            FieldSet(json!({"f:spec": {"f:ports": items.collect::<serde_json::Map<_, _>>()}}))
        };
        let all = set(living.iter().map(|item| item["port"].clone()).collect());
        let ours = set(ours.iter().map(|port| json!(port)).collect());
        let duplicates = duplicates.iter().map(ToString::to_string).collect();
        let found = edited_items(&object(living), &object(wanted), &all, &ours, &duplicates);
        let ports = found.0.pointer("/f:spec/f:ports").and_then(Value::as_object);
        ports.into_iter().flatten().map(|(name, _)| name.clone()).collect()
    }

    #[test]
    fn an_item_is_edited_where_ours_is_missing_and_a_foreign_one_is_the_same_but_for_its_keys() {
        let ours = || port(80, "http", 8080);
        let edited_to_83 = "k:{\"port\":83,\"protocol\":\"TCP\"}";
        let table: [Row; 5] = [
            ("the key was edited", vec![port(83, "http", 8080)], &[], &[], &[edited_to_83]),
            ("one was added beside ours", vec![ours(), port(83, "admin", 8080)], &[80], &[], &[]),
            ("ours was deleted, another added", vec![port(83, "admin", 1)], &[], &[], &[]),
            (
                "more than the key was edited",
                vec![port(83, "http", 1)],
                &[],
                &["http"],
                &[edited_to_83],
            ),
            ("ours of an earlier version", vec![port(83, "http", 8080)], &[83], &[], &[]),
        ];
        for (case, living, owned, duplicates, expected) in table {
            assert_eq!(edited(&living, &[ours()], owned, duplicates), expected, "{case}");
        }
    }
}
