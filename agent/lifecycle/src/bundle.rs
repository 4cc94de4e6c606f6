//! From the documents of a bundle to the objects of a release: unfold, substitute, normalise, refuse.

pub mod hook;
pub mod ignored_fields;
pub mod limits;
pub mod oci_manifest;
pub mod release;
pub mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::bundle::limits::MAX_OBJECTS;
use crate::bundle::yaml::File;
use crate::names::GROUP;
use crate::object::Object;
use crate::plan::refuse_lock_out;
use crate::reason::{Fault, Reason};

/// Written by the API server; in a bundle they are leftovers of an export.
const SERVER_FIELDS: [&str; 6] =
    ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink"];

/// The objects of a bundle's files.
///
/// # Errors
/// As [`read`] and [`yaml::documents_of`], with the name of the file that is wrong by itself.
pub fn read_files(
    files: &[File],
    values: &BTreeMap<String, String>,
    namespace: &str,
) -> Result<Vec<Object>, Fault> {
    let objects = |files: &[File]| read(yaml::documents_of(files)?, values, namespace);
    objects(files).map_err(|fault| {
        if fault.reason == Reason::EmptyBundle {
            return fault;
        }
        let mut named = files.iter().filter_map(|file| Some((file.name.as_ref()?, file)));
        let wrong = named.find_map(|(name, file)| {
            let alone = objects(std::slice::from_ref(file)).err()?;
            (alone.reason == fault.reason).then(|| format!("{name}: {}", alone.message))
        });
        wrong.map_or(fault.clone(), |message| Fault::new(fault.reason, message))
    })
}

/// The objects of a bundle. `namespace` counts as the namespace of objects that name none.
pub fn read(
    documents: Vec<Value>,
    values: &BTreeMap<String, String>,
    namespace: &str,
) -> Result<Vec<Object>, Fault> {
    let mut objects = Vec::new();
    for document in documents {
        unfold(document, &mut objects)?;
    }
    for object in &mut objects {
        substitute(&mut object.0, values);
        check_identity(object)?;
        normalise(object);
    }
    if objects.is_empty() {
        return Err(Fault::new(Reason::EmptyBundle, "the bundle holds no objects"));
    }
    refuse_duplicates(&objects, namespace)?;
    Ok(objects)
}

/// Takes `kind: List` and every typed list apart; empty documents are skipped.
fn unfold(document: Value, objects: &mut Vec<Object>) -> Result<(), Fault> {
    if document.is_null() {
        return Ok(());
    }
    let is_list = document.get("kind").and_then(Value::as_str).is_some_and(|k| k.ends_with("List"));
    match (is_list, document) {
        (true, Value::Object(mut list)) if list.get("items").is_some_and(Value::is_array) => {
            if let Some(Value::Array(items)) = list.remove("items") {
                for item in items {
                    unfold(item, objects)?;
                }
            }
        }
        (_, document @ Value::Object(_)) => objects.push(Object(document)),
        (_, other) => {
            return Err(Fault::new(
                Reason::InvalidBundle,
                format!("document {} is no object but {}", objects.len() + 1, kind_of(&other)),
            ));
        }
    }
    if objects.len() > MAX_OBJECTS {
        return Err(Fault::new(
            Reason::BundleTooLarge,
            format!("the bundle holds more than {MAX_OBJECTS} objects"),
        ));
    }
    Ok(())
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Replaces `${NAME}` in string scalars; names without a value stay as they are, for the add-on's own templates.
fn substitute(value: &mut Value, values: &BTreeMap<String, String>) {
    match value {
        Value::String(text) if text.contains("${") => *text = fill(text, values),
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, values)),
        Value::Object(fields) => fields.values_mut().for_each(|field| substitute(field, values)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn fill(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        filled.push_str(before);
        let name_and_rest = from.get(2..).unwrap_or_default();
        let known = name_and_rest
            .split_once('}')
            .and_then(|(name, after)| values.get(name).map(|value| (value, after)));
        match known {
            Some((value, after)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push_str("${");
                rest = name_and_rest;
            }
        }
    }
    filled + rest
}

fn check_identity(object: &Object) -> Result<(), Fault> {
    let refused = |what: &str| {
        Err(Fault::new(
            Reason::InvalidObject,
            format!("{} {:?} {what}", object.kind(), object.name()),
        ))
    };
    if object.kind().is_empty() || object.api_version().is_empty() {
        let name = object.name();
        let which = if name.is_empty() { String::new() } else { format!(" named {name:?}") };
        let message = format!("a document{which} has no kind or no apiVersion");
        return Err(Fault::new(Reason::InvalidObject, message));
    }
    if object.0.pointer("/metadata/generateName").is_some() {
        return refused("uses generateName; a release needs fixed names");
    }
    if object.name().is_empty() {
        return refused("has no name");
    }
    if !is_path_segment(object.name()) || object.namespace().is_some_and(|n| !is_path_segment(n)) {
        return refused("has a name or namespace that no object can have");
    }
    refuse_lock_out(object)?;
    hook::refuse_misplaced(object)?;
    hook::refuse_foreign_hooks(object)?;
    if object.group() == GROUP {
        return refused("is the agent's own; a bundle cannot assign add-ons");
    }
    Ok(())
}

/// Names become parts of request paths.
fn is_path_segment(name: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "/%?#\\".contains(c);
    name.len() <= 253 && !name.contains(is_odd) && name != "." && name != ".."
}

fn normalise(object: &mut Object) {
    let Some(fields) = object.0.as_object_mut() else { return };
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in SERVER_FIELDS {
            metadata.remove(field);
        }
        // Explicit nulls would be applied as "remove this field".
        metadata.retain(|_, value| !value.is_null());
    }
}

fn refuse_duplicates(objects: &[Object], namespace: &str) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    for object in objects {
        let mut key = object.key();
        key.namespace.get_or_insert_with(|| namespace.to_owned());
        if !seen.insert(key) {
            return Err(Fault::new(
                Reason::DuplicateObject,
                format!("{} is in the bundle twice", object.key()),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(documents: Value) -> Result<Vec<String>, Reason> {
        let documents = documents.as_array().cloned().expect("a list of documents");
        let values = BTreeMap::from([("REGION".to_owned(), "eu-1".to_owned())]);
        read(documents, &values, "here")
            .map(|objects| objects.iter().map(|object| object.0.to_string()).collect())
            .map_err(|fault| fault.reason)
    }

    fn map(name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
    }

    #[test]
    fn lists_are_unfolded_and_empty_documents_skipped() {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [map("a"), map("b")]});
        assert_eq!(check(json!([null, list, map("c")])).map(|o| o.len()), Ok(3));
    }

    #[test]
    fn a_mistake_is_told_with_the_name_of_its_file() {
        let good = map("good").to_string();
        for (second, words) in [
            (b"b: 1\nb: 2".as_slice(), "1.yaml: not YAML: duplicate"),
            (b"a: 'open", "1.yaml: not YAML"),
            (b"a: *x", "1.yaml: not YAML"),
            (b"\x1f\x8b\x08\x00\xff", "1.yaml: an archive"),
            (b"\xff", "1.yaml: not UTF-8"),
            (b"It sells.", "1.yaml: document 1 is no object"),
            (b"a: b", "1.yaml: a document has no kind"),
            (good.as_bytes(), "ConfigMap good is in the bundle twice"),
        ] {
            let file = |name: &str, bytes: &[u8]| File {
                name: Some(name.to_owned()),
                bytes: bytes.to_vec(),
            };
            let files = [file("0.yaml", good.as_bytes()), file("1.yaml", second)];
            let said = read_files(&files, &BTreeMap::new(), "here").expect_err(words).message;
            assert!(said.starts_with(words), "{said}");
        }
    }

    #[test]
    fn what_the_server_writes_is_dropped() {
        let mut exported = map("a");
        exported["status"] = json!({"ready": true});
        exported["metadata"]["uid"] = json!("1");
        exported["metadata"]["creationTimestamp"] = json!(null);
        assert_eq!(check(json!([exported])), Ok(vec![map("a").to_string()]));
    }

    #[test]
    fn only_values_that_were_given_are_substituted() {
        let mut templated = map("a");
        templated["data"] = json!({"k": "${REGION} ${OTHER} ${REGION", "${REGION}": "key"});
        let mut wanted = map("a");
        wanted["data"] = json!({"k": "eu-1 ${OTHER} ${REGION", "${REGION}": "key"});
        assert_eq!(check(json!([templated])), Ok(vec![wanted.to_string()]));
    }

    fn hook(api_version: &str, kind: &str, hook: &str) -> Value {
        let annotations = json!({"lifecycle.open-cluster-management.io/hook": hook});
        json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "annotations": annotations}})
    }

    #[test]
    fn jobs_may_be_hooks() {
        for name in ["verify", "pre-upgrade"] {
            assert_eq!(check(json!([hook("batch/v1", "Job", name)])).map(|o| o.len()), Ok(1));
        }
    }

    #[test]
    fn what_others_run_at_a_deletion_is_not_run_at_an_install() {
        let job = |metadata: Value| {
            let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata});
            job["metadata"]["name"] = json!("a");
            check(json!([job])).map(|objects| objects.len())
        };
        let pre_delete = json!({"addon.open-cluster-management.io/addon-pre-delete": ""});
        assert_eq!(job(json!({"annotations": pre_delete})), Err(Reason::InvalidObject));
        let mut account = json!({"apiVersion": "v1", "kind": "ServiceAccount"});
        account["metadata"] = json!({"name": "a", "annotations": pre_delete});
        assert_eq!(check(json!([account])).map(|objects| objects.len()), Ok(1), "no hook of OCM's");
        let label = json!({"open-cluster-management.io/addon-pre-delete": ""});
        assert_eq!(job(json!({"labels": label})), Err(Reason::InvalidObject));
        for (moments, read) in [
            ("pre-delete", Err(Reason::InvalidObject)),
            ("post-delete, post-rollback", Err(Reason::InvalidObject)),
            ("test", Err(Reason::InvalidObject)),
            ("post-install, test", Ok(1)),
            ("pre-upgrade", Ok(1)),
            ("Post-Install", Ok(1)),
        ] {
            assert_eq!(job(json!({"annotations": {"helm.sh/hook": moments}})), read, "{moments}");
        }
    }

    #[test]
    fn bundles_without_clear_objects_are_refused() {
        let mut generated = map("");
        generated["metadata"] = json!({"generateName": "a-"});
        let mut elsewhere = map("a");
        elsewhere["metadata"]["namespace"] = json!("here");
        let own = json!({"apiVersion": "lifecycle.open-cluster-management.io/v1alpha1", "kind": "ManagedAddOn", "metadata": {"name": "x"}});
        for (documents, reason) in [
            (json!([]), Reason::EmptyBundle),
            (json!([null]), Reason::EmptyBundle),
            (json!(["text"]), Reason::InvalidBundle),
            (json!([[map("a")]]), Reason::InvalidBundle),
            (json!([map("")]), Reason::InvalidObject),
            (json!([{"metadata": {"name": "a"}}]), Reason::InvalidObject),
            (json!([generated]), Reason::InvalidObject),
            (json!([map("x?dryRun=All")]), Reason::InvalidObject),
            (json!([map("a/status")]), Reason::InvalidObject),
            (json!([map("..")]), Reason::InvalidObject),
            (json!([own]), Reason::InvalidObject),
            (json!([hook("v1", "ConfigMap", "verify")]), Reason::InvalidObject),
            (json!([hook("batch/v1", "CronJob", "verify")]), Reason::InvalidObject),
            (json!([hook("batch/v1", "Job", "post-install")]), Reason::InvalidObject),
            (json!([map("a"), map("a")]), Reason::DuplicateObject),
            (json!([map("a"), elsewhere]), Reason::DuplicateObject),
            (
                json!((0..1001).map(|n| map(&n.to_string())).collect::<Vec<_>>()),
                Reason::BundleTooLarge,
            ),
        ] {
            assert_eq!(check(documents).err(), Some(reason));
        }
    }
}
