//! Fields that others add to our objects. They stay, and are shown: by path and field manager, never by value.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;

use crate::names::{CONTROLLERS, FIELD_MANAGER};
use crate::object::Object;

/// What one field manager added to one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignFields {
    pub manager: String,
    /// Paths, in order.
    pub fields: Vec<String>,
}

/// What the bundle does not name in an object and others do, by the managed fields of the living one. What `shared` points
/// at is others' anyway.
pub fn added(
    object: &Object,
    shared: &[String],
    managed: &[ManagedFieldsEntry],
) -> Vec<ForeignFields> {
    let mut by_manager: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let root = Place { told: String::new(), pointer: String::new(), ours: Some(&object.0) };
    for entry in managed.iter().filter(|entry| is_told(entry)) {
        let (Some(manager), Some(fields)) = (&entry.manager, &entry.fields_v1) else { continue };
        root.collect(&fields.0, shared, by_manager.entry(manager).or_default());
    }
    let told = by_manager.into_iter().filter(|(_, fields)| !fields.is_empty());
    told.map(|(manager, fields)| ForeignFields {
        manager: manager.to_owned(),
        fields: fields.into_iter().collect(),
    })
    .collect()
}

fn is_told(entry: &ManagedFieldsEntry) -> bool {
    let manager = entry.manager.as_deref().unwrap_or_default();
    entry.subresource.as_deref() != Some("status")
        && manager != FIELD_MANAGER
        && !CONTROLLERS.contains(&manager)
}

/// A place in an object, with what the bundle has there.
struct Place<'a> {
    told: String,
    pointer: String,
    ours: Option<&'a Value>,
}

impl<'a> Place<'a> {
    /// `fields` is a trie as in `FieldsV1`; a node's own mark is `.`.
    fn collect(&self, fields: &Value, shared: &[String], found: &mut BTreeSet<String>) {
        for (name, below) in fields.as_object().into_iter().flatten() {
            let Some(place) = self.step(name) else { continue };
            if shared.contains(&place.pointer) || is_bookkeeping(&place.pointer) {
                continue;
            }
            let is_leaf = below.as_object().is_some_and(serde_json::Map::is_empty);
            let is_new_item =
                name.starts_with("k:") && place.ours.is_none() && below.get(".").is_some();
            match (is_leaf || is_new_item, place.ours) {
                (false, _) => place.collect(below, shared, found),
                (true, None) => _ = found.insert(place.told),
                (true, Some(_)) => {}
            }
        }
    }

    /// `f:` is a field, `k:` an item of a list by its keys, `v:` one of a set, `i:` one by its number.
    fn step(&self, name: &str) -> Option<Place<'a>> {
        let (what, name) = name.split_once(':')?;
        if what == "f" {
            let told = if self.told.is_empty() {
                name.to_owned()
            } else {
                format!("{}.{name}", self.told)
            };
            let escaped = name.replace('~', "~0").replace('/', "~1");
            let ours = self.ours.and_then(|ours| ours.get(name));
            return Some(Place { told, pointer: format!("{}/{escaped}", self.pointer), ours });
        }
        let value: Value = serde_json::from_str(name).ok()?;
        let items = self.ours.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let at = match what {
            "k" => items.iter().position(|item| has_keys(item, &value)),
            "v" => items.iter().position(|item| item == &value),
            _ => value.as_u64().and_then(|number| usize::try_from(number).ok()),
        };
        // Other keys may be values.
        let item = value.get("name").and_then(Value::as_str).unwrap_or_default();
        let number = at.map_or("-".to_owned(), |at| at.to_string());
        Some(Place {
            told: format!("{}[{item}]", self.told),
            pointer: format!("{}/{number}", self.pointer),
            ours: at.and_then(|at| items.get(at)),
        })
    }
}

/// A key that the bundle leaves out has its default.
fn has_keys(item: &Value, keys: &Value) -> bool {
    let mut keys = keys.as_object().into_iter().flatten();
    keys.all(|(key, value)| item.get(key).is_none_or(|ours| ours == value))
}

/// What controllers note on whatever they work on.
fn is_bookkeeping(pointer: &str) -> bool {
    let annotation = pointer.strip_prefix("/metadata/annotations/").unwrap_or_default();
    let domain = annotation.split_once("~1").map_or("", |(domain, _)| domain);
    matches!(pointer, "/status" | "/metadata/finalizers" | "/metadata/ownerReferences")
        || annotation == "deprecated.daemonset.template.generation"
        || ["kubernetes.io", "k8s.io"].iter().any(|of| is_in(domain, of))
}

fn is_in(domain: &str, of: &str) -> bool {
    domain.strip_suffix(of).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldsV1;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_add_is_told_by_path() {
        let table: [(&str, Value, &[&str]); 9] = [
            ("a field", json!({"f:spec": {"f:paused": {}}}), &["spec.paused"]),
            ("one of ours", json!({"f:spec": {"f:replicas": {}}}), &[]),
            (
                "a mark of its own, and Kubernetes'",
                json!({"f:metadata": {
                    "f:annotations": {".": {}, "f:example.com/a": {}, "f:deployment.kubernetes.io/revision": {}},
                    "f:finalizers": {".": {}, "v:\"example.com/f\"": {}},
                    "f:labels": {".": {}, "f:team": {}},
                }}),
                &["metadata.annotations.example.com/a", "metadata.labels.team"],
            ),
            (
                "a container, told as one",
                containers(
                    json!({"k:{\"name\":\"sidecar\"}": {".": {}, "f:image": {}, "f:name": {}}}),
                ),
                &["spec.template.spec.containers[sidecar]"],
            ),
            (
                "a field of our container",
                containers(json!({"k:{\"name\":\"main\"}": {".": {}, "f:name": {}, "f:tty": {}}})),
                &["spec.template.spec.containers[main].tty"],
            ),
            (
                "ports, of which one is ours, without their numbers",
                containers(json!({"k:{\"name\":\"main\"}": {"f:ports": {
                    "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}},
                    "k:{\"containerPort\":90,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}},
                }}})),
                &["spec.template.spec.containers[main].ports[]"],
            ),
            (
                "an item of a set, without its value",
                json!({"f:spec": {"f:set": {"v:\"ours\"": {}, "v:\"secret\"": {}, "i:0": {}}}}),
                &["spec.set[]"],
            ),
            ("a status in the object itself", json!({"f:status": {"f:ready": {}}}), &[]),
            ("nothing", json!({}), &[]),
        ];
        for (what, fields, told) in table {
            let added = added(&deployment(), &[], &[entry("kubectl", None, fields)]);
            let fields: Vec<String> = added.into_iter().flat_map(|added| added.fields).collect();
            assert_eq!(fields, told, "{what}");
        }
    }

    #[test]
    fn who_adds_what_may_be_no_news() {
        let fields = || json!({"f:spec": {"f:paused": {}}});
        let table = [
            ("kubectl", None, 1),
            ("kubectl", Some("scale"), 1),
            ("kubectl", Some("status"), 0),
            ("kube-controller-manager", None, 0),
            (FIELD_MANAGER, None, 0),
        ];
        for (manager, subresource, told) in table {
            let added = added(&deployment(), &[], &[entry(manager, subresource, fields())]);
            assert_eq!(added.len(), told, "{manager} {subresource:?}");
        }
    }

    #[test]
    fn each_manager_is_told_once() {
        let fields = |name: &str| json!({"f:spec": {format!("f:{name}"): {}}});
        let managed = [
            entry("kubectl", None, fields("b")),
            entry("helm", None, fields("c")),
            entry("kubectl", Some("scale"), fields("a")),
        ];
        let added = added(&deployment(), &[], &managed);
        let told: Vec<_> = added.iter().map(|it| (&*it.manager, it.fields.join(" "))).collect();
        assert_eq!(told, [("helm", "spec.c".to_owned()), ("kubectl", "spec.a spec.b".to_owned())]);
    }

    #[test]
    fn what_is_named_as_others_is_no_news() {
        let fields = json!({"f:spec": {"f:paused": {}, "f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"main\"}": {"f:tty": {}},
        }}}}});
        let left = |shared: &[&str]| {
            let shared: Vec<String> = shared.iter().map(|it| (*it).to_owned()).collect();
            let managed = [entry("kubectl", None, fields.clone())];
            added(&deployment(), &shared, &managed).into_iter().flat_map(|it| it.fields).count()
        };
        assert_eq!(left(&["/spec/replicas"]), 2);
        assert_eq!(left(&["/spec/paused"]), 1);
        assert_eq!(left(&["/spec/paused", "/spec/template/spec/containers/0/tty"]), 0);
        assert_eq!(left(&["/spec"]), 0);
    }

    fn deployment() -> Object {
        Object(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "annotations": {"a": "b"}},
            "spec": {
                "replicas": 1, "set": ["ours"],
                "template": {"spec": {"containers": [
                    {"name": "main", "image": "web", "ports": [{"containerPort": 80}]},
                ]}},
            },
        }))
    }

    fn containers(fields: Value) -> Value {
        json!({"f:spec": {"f:template": {"f:spec": {"f:containers": fields}}}})
    }

    fn entry(manager: &str, subresource: Option<&str>, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            subresource: subresource.map(str::to_owned),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }
}
