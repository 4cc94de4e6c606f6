//! Foreign fields: fields of an add-on's objects that another field manager sets and the bundle does not name. They survive.
//! They are reported by path and field manager, never by value.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;

use crate::managed_fields::has_keys;
use crate::names::{CONTROLLERS, FIELD_MANAGER};
use crate::object::Object;
use crate::ownership::controller_fields;

/// The foreign fields of one object that one field manager sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignFields {
    /// The name of the field manager.
    pub manager: String,
    /// Paths in order, such as `spec.template.spec.containers[sidecar]`.
    pub paths: Vec<String>,
}

/// Returns the foreign fields of an object, from the bundle's object and the `managedFields` of the living one. `ignored` are
/// JSON pointers to fields that are left to other managers; they are not reported. Nor are fields of Kubernetes' own
/// controllers and what controllers write on every object they reconcile.
pub fn find_foreign_fields(
    object: &Object,
    ignored: &[String],
    managed: &[ManagedFieldsEntry],
) -> Vec<ForeignFields> {
    let mut by_manager: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let (path, pointer) = (String::new(), String::new());
    let root = Place { object, path, pointer, ours: Some(&object.0) };
    for entry in managed.iter().filter(|entry| is_reported(entry)) {
        let (Some(manager), Some(fields)) = (&entry.manager, &entry.fields_v1) else { continue };
        root.collect(&fields.0, ignored, by_manager.entry(manager).or_default());
    }
    let foreign = by_manager.into_iter().filter(|(_, paths)| !paths.is_empty());
    foreign
        .map(|(manager, paths)| ForeignFields {
            manager: manager.to_owned(),
            paths: paths.into_iter().collect(),
        })
        .collect()
}

fn is_reported(entry: &ManagedFieldsEntry) -> bool {
    let manager = entry.manager.as_deref().unwrap_or_default();
    entry.subresource.as_deref() != Some("status")
        && manager != FIELD_MANAGER
        && !CONTROLLERS.contains(&manager)
}

/// A place in an object, with the value that the bundle has there.
struct Place<'a> {
    object: &'a Object,
    /// For the report: list items by name.
    path: String,
    /// A JSON pointer: list items by position.
    pointer: String,
    ours: Option<&'a Value>,
}

impl<'a> Place<'a> {
    /// Collects the paths of foreign fields. `fields` is a trie as in Kubernetes' `FieldsV1`: `.` marks the node itself.
    fn collect(&self, fields: &Value, ignored: &[String], paths: &mut BTreeSet<String>) {
        for (name, below) in fields.as_object().into_iter().flatten() {
            let Some(place) = self.enter(name) else { continue };
            if ignored.contains(&place.pointer) || place.is_of_controllers() {
                continue;
            }
            let is_leaf = below.as_object().is_some_and(serde_json::Map::is_empty);
            let is_new_item =
                name.starts_with("k:") && place.ours.is_none() && below.get(".").is_some();
            match (is_leaf || is_new_item, place.ours) {
                (false, _) => place.collect(below, ignored, paths),
                (true, None) => _ = paths.insert(place.path),
                (true, Some(_)) => {}
            }
        }
    }

    /// Returns whether controllers write the field by design.
    fn is_of_controllers(&self) -> bool {
        is_bookkeeping(&self.pointer) || controller_fields::contains(self.object, &self.pointer)
    }

    /// Enters one node of the trie: `f:` is a field, `k:` a list item by its keys, `v:` a set item by its value, `i:` a list
    /// item by its position.
    fn enter(&self, name: &str) -> Option<Place<'a>> {
        let (node, name) = name.split_once(':')?;
        if node == "f" {
            return Some(self.enter_field(name));
        }
        let value: Value = serde_json::from_str(name).ok()?;
        let items = self.ours.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let position = match node {
            "k" => items.iter().position(|item| has_keys(item, &value)),
            "v" => items.iter().position(|item| item == &value),
            _ => value.as_u64().and_then(|number| usize::try_from(number).ok()),
        };
        Some(self.enter_item(&value, items, position))
    }

    fn enter_field(&self, name: &str) -> Place<'a> {
        let path = match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        let escaped = name.replace('~', "~0").replace('/', "~1");
        let ours = self.ours.and_then(|ours| ours.get(name));
        let pointer = format!("{}/{escaped}", self.pointer);
        Place { object: self.object, path, pointer, ours }
    }

    fn enter_item(&self, keys: &Value, items: &'a [Value], position: Option<usize>) -> Place<'a> {
        // Only names are reported: other keys may be values.
        let name = keys.get("name").and_then(Value::as_str).unwrap_or_default();
        let number = position.map_or("-".to_owned(), |position| position.to_string());
        Place {
            object: self.object,
            path: format!("{}[{name}]", self.path),
            pointer: format!("{}/{number}", self.pointer),
            ours: position.and_then(|position| items.get(position)),
        }
    }
}

/// Returns whether controllers write this field on every object they reconcile: status, finalizers, owners, and annotations of
/// Kubernetes' domains.
fn is_bookkeeping(pointer: &str) -> bool {
    let annotation = pointer.strip_prefix("/metadata/annotations/").unwrap_or_default();
    let domain = annotation.split_once("~1").map_or("", |(domain, _)| domain);
    matches!(pointer, "/status" | "/metadata/finalizers" | "/metadata/ownerReferences")
        || ["kubernetes.io", "k8s.io"].iter().any(|parent| is_within(domain, parent))
}

fn is_within(domain: &str, parent: &str) -> bool {
    domain.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldsV1;
    use serde_json::json;

    use super::*;

    #[test]
    fn foreign_fields_are_reported_by_path() {
        let table: [(&str, Value, &[&str]); 9] = [
            ("a field", json!({"f:spec": {"f:paused": {}}}), &["spec.paused"]),
            ("one of ours", json!({"f:spec": {"f:replicas": {}}}), &[]),
            (
                "an annotation and a label, but none of Kubernetes",
                json!({"f:metadata": {
                    "f:annotations": {".": {}, "f:example.com/a": {}, "f:deployment.kubernetes.io/revision": {}},
                    "f:finalizers": {".": {}, "v:\"example.com/f\"": {}},
                    "f:labels": {".": {}, "f:team": {}},
                }}),
                &["metadata.annotations.example.com/a", "metadata.labels.team"],
            ),
            (
                "a container, reported as one",
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
        for (case, fields, expected) in table {
            let found = find_foreign_fields(&deployment(), &[], &[entry("kubectl", None, fields)]);
            let paths: Vec<String> = found.into_iter().flat_map(|it| it.paths).collect();
            assert_eq!(paths, expected, "{case}");
        }
    }

    #[test]
    fn status_and_kubernetes_own_managers_are_not_reported() {
        let fields = || json!({"f:spec": {"f:paused": {}}});
        let table = [
            ("kubectl", None, 1),
            ("kubectl", Some("scale"), 1),
            ("kubectl", Some("status"), 0),
            ("kube-controller-manager", None, 0),
            (FIELD_MANAGER, None, 0),
        ];
        for (manager, subresource, expected) in table {
            let managed = [entry(manager, subresource, fields())];
            let found = find_foreign_fields(&deployment(), &[], &managed);
            assert_eq!(found.len(), expected, "{manager} {subresource:?}");
        }
    }

    #[test]
    fn each_manager_is_reported_once() {
        let fields = |name: &str| json!({"f:spec": {format!("f:{name}"): {}}});
        let managed = [
            entry("kubectl", None, fields("b")),
            entry("helm", None, fields("c")),
            entry("kubectl", Some("scale"), fields("a")),
        ];
        let found = find_foreign_fields(&deployment(), &[], &managed);
        let paths: Vec<_> = found.iter().map(|it| (&*it.manager, it.paths.join(" "))).collect();
        assert_eq!(paths, [("helm", "spec.c".to_owned()), ("kubectl", "spec.a spec.b".to_owned())]);
    }

    #[test]
    fn ignored_fields_are_not_reported() {
        let fields = json!({"f:spec": {"f:paused": {}, "f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"main\"}": {"f:tty": {}},
        }}}}});
        let count = |ignored: &[&str]| {
            let ignored: Vec<String> = ignored.iter().map(|it| (*it).to_owned()).collect();
            let managed = [entry("kubectl", None, fields.clone())];
            let found = find_foreign_fields(&deployment(), &ignored, &managed);
            found.into_iter().flat_map(|it| it.paths).count()
        };
        assert_eq!(count(&["/spec/replicas"]), 2);
        assert_eq!(count(&["/spec/paused"]), 1);
        assert_eq!(count(&["/spec/paused", "/spec/template/spec/containers/0/tty"]), 0);
        assert_eq!(count(&["/spec"]), 0);
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
