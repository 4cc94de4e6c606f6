//! One row per rule: what is narrower, and what a living object would lose by it.

use serde_json::{Value, json};

use super::*;
use crate::object::Object;

fn definition(versions: Value) -> Definition {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "backends.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Backend", "plural": "backends"}, "versions": versions,
        },
        "status": {"storedVersions": ["v1"]},
    });
    Definition::read(&Object(definition)).expect("a definition")
}

fn version(name: &str, storage: bool, spec: &Value) -> Value {
    let schema =
        json!({"type": "object", "properties": {"spec": spec, "status": {"type": "object"}}});
    json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema}})
}

fn with(spec: &Value) -> Definition {
    definition(json!([version("v1", true, spec)]))
}

fn describe(old: &Definition, new: &Definition) -> Vec<String> {
    changes(old, new).iter().map(Change::to_string).collect()
}

/// A spec with one field `a`.
fn a(of: Value) -> Value {
    json!({"type": "object", "properties": {"a": of}})
}

#[test]
fn each_narrowing_of_a_schema_is_found_with_what_an_object_loses() {
    let closed = json!({"type": "object", "properties": {}});
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let map = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let string = json!({"type": "string"});
    let required = json!({"type": "object", "required": ["a"], "properties": {"a": string}});
    let has_default = json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "default": "x"}}});
    let list = |of: &Value| a(json!({"type": "array", "items": of}));
    let either = json!({"x-kubernetes-int-or-string": true});
    // Schema before and after, what changed, an object's spec, what it would lose.
    let rows: Vec<(Value, Value, &str, Value, &str)> = vec![
        (
            a(string.clone()),
            closed.clone(),
            "spec.a is gone",
            json!({"a": "x"}),
            "would lose spec.a",
        ),
        (a(string.clone()), closed.clone(), "spec.a is gone", json!({}), ""),
        (closed.clone(), a(string.clone()), "", json!({}), ""),
        (a(string.clone()), open.clone(), "", json!({"a": "x"}), ""),
        (
            open.clone(),
            a(string.clone()),
            "spec no longer accepts unknown fields",
            json!({"b": 1}),
            "would lose spec.b",
        ),
        (
            map.clone(),
            closed.clone(),
            "spec no longer accepts unknown fields",
            json!({"b": "x"}),
            "would lose spec.b",
        ),
        (
            map.clone(),
            json!({"type": "object", "additionalProperties": {"type": "integer"}}),
            "spec.* has another type",
            json!({"b": "x"}),
            "has spec.* in another type",
        ),
        (
            a(string.clone()),
            a(json!({"type": "integer"})),
            "spec.a has another type",
            json!({"a": "x"}),
            "has spec.a in another type",
        ),
        (a(json!({"type": "integer"})), a(json!({"type": "number"})), "", json!({"a": 1}), ""),
        (a(string.clone()), a(either.clone()), "", json!({"a": "x"}), ""),
        (
            a(either),
            a(string.clone()),
            "spec.a has another type",
            json!({"a": 1}),
            "has spec.a in another type",
        ),
        (a(string.clone()), required.clone(), "spec.a is required", json!({}), "would need spec.a"),
        (a(string.clone()), has_default, "", json!({}), ""),
        (required, a(string.clone()), "", json!({}), ""),
        (
            a(string.clone()),
            a(json!({"type": "string", "enum": ["x"]})),
            "spec.a accepts fewer values",
            json!({"a": "y"}),
            "has spec.a outside of what is allowed",
        ),
        (
            a(json!({"enum": ["x", "y"]})),
            a(json!({"enum": ["x"]})),
            "spec.a accepts fewer values",
            json!({"a": "x"}),
            "",
        ),
        (a(json!({"enum": ["x"]})), a(json!({"enum": ["x", "y"]})), "", json!({"a": "x"}), ""),
        (
            a(json!({"maxLength": 9})),
            a(json!({"maxLength": 2})),
            "spec.a accepts fewer values",
            json!({"a": "xyz"}),
            "has spec.a outside of what is allowed",
        ),
        (a(json!({"minimum": 1})), a(json!({"minimum": 0})), "", json!({"a": 1}), ""),
        (
            a(json!({"minimum": 1})),
            a(json!({"minimum": 2})),
            "spec.a accepts fewer values",
            json!({"a": 1}),
            "has spec.a outside of what is allowed",
        ),
        (
            a(string.clone()),
            a(json!({"type": "string", "pattern": "^x"})),
            "spec.a has another rule",
            json!({"a": "y"}),
            "",
        ),
        (
            a(string.clone()),
            a(json!({"type": "string", "x-kubernetes-validations": [{"rule": "self != ''"}]})),
            "spec.a has another rule",
            json!({"a": ""}),
            "",
        ),
        (
            list(&a(string.clone())),
            list(&closed),
            "spec.a[].a is gone",
            json!({"a": [{"a": "x"}]}),
            "would lose spec.a[].a",
        ),
    ];
    for (old, new, changed, object, loss) in rows {
        let (old, new) = (with(&old), with(&new));
        assert_eq!(describe(&old, &new).join(", "), changed);
        let object = json!({"metadata": {"name": "b"}, "spec": object, "status": {"b": 1}});
        assert_eq!(new.data_loss(&old, "v1", &object).join(", "), loss, "after: {changed}");
    }
}

#[test]
fn what_an_object_loses_already_is_not_reported() {
    let schema = a(json!({"type": "string"}));
    let object = json!({"spec": {"unknown": 1}});
    assert!(with(&schema).data_loss(&with(&schema), "v1", &object).is_empty());
}

#[test]
fn versions_names_and_conversion_are_compared() {
    let spec = a(json!({"type": "string"}));
    let one = || definition(json!([version("v1", true, &spec)]));
    let both = |storage: &str| {
        definition(json!([
            version("v1", storage == "v1", &spec),
            version("v2", storage == "v2", &spec)
        ]))
    };
    let two = definition(json!([version("v2", true, &spec)]));
    let mut unserved = both("v1");
    unserved.versions[0].served = false;
    let converted = Definition { conversion: "Webhook".into(), ..one() };
    let elsewhere = Definition { namespaced: false, ..one() };
    let moved = "objects are stored as v2 instead of v1";
    let gone = "objects may be stored as v1, which is gone, v1 is no longer served";
    for (old, new, changed) in [
        (one(), both("v1"), ""),
        (one(), both("v2"), moved),
        (both("v1"), one(), "v2 is no longer served"),
        (one(), two, &format!("{gone}, {moved}")),
        (one(), unserved, "v1 is no longer served"),
        (one(), converted, "the conversion between versions changes"),
        (one(), elsewhere, "its names or its scope change"),
    ] {
        assert_eq!(describe(&old, &new).join(", "), changed);
    }
}

/// Without conversion, an object that is stored as one version is read as the other, without the fields that it lacks.
#[test]
fn a_storage_version_that_moves_is_compared_with_the_one_before() {
    let (rich, poor) = (a(json!({"type": "string"})), json!({"type": "object"}));
    let old = definition(json!([version("v1", true, &rich)]));
    let new = definition(json!([version("v1", false, &rich), version("v2", true, &poor)]));
    assert_eq!(describe(&old, &new), ["objects are stored as v2 instead of v1", "spec.a is gone"]);
    assert_eq!(new.data_loss(&old, "v1", &json!({"spec": {"a": "x"}})), ["would lose spec.a"]);
    let new = Definition { conversion: "Webhook".into(), ..new };
    assert!(new.data_loss(&old, "v1", &json!({"spec": {"a": "x"}})).is_empty());
}

#[test]
fn objects_are_read_as_they_are_stored_if_that_is_served() {
    let spec = json!({});
    let mut both = definition(json!([version("v1", false, &spec), version("v2", true, &spec)]));
    assert_eq!(both.reading_version().map(|version| version.name.as_str()), Some("v2"));
    both.versions[1].served = false;
    assert_eq!(both.reading_version().map(|version| version.name.as_str()), Some("v1"));
}
