//! Reading a bundle: unfolds its documents to objects, fills in values, normalises, and rejects what is no clear object.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::foreign_hook::reject_foreign_hook;
use super::hook::reject_misplaced;
use super::limits::MAX_OBJECTS;
use super::normalise::normalise;
use super::values::Substitution;
use super::webhook::reject_lockout;
use super::yaml::{self, File};
use crate::names::GROUP;
use crate::object::Object;
use crate::reason::{Fault, Reason};

/// Reads the objects of a bundle's files, with `values` filled in. `namespace` is that of objects that name none.
///
/// # Errors
/// - As [`yaml::parse_files`].
/// - `EmptyBundle`: there is no object.
/// - `BundleTooLarge`: there are more than [`MAX_OBJECTS`], or the values make the bundle too large.
/// - `InvalidBundle`: a document is not an object.
/// - `InvalidObject`: an object has no clear identity, is a hook that cannot run, could lock the agent out, or is of the
///   agent's own API group.
/// - `DuplicateObject`: the same object is in the bundle twice.
///
/// If one file is wrong by itself, the message begins with its name.
pub fn read_objects(
    files: &[File],
    values: &BTreeMap<String, String>,
    namespace: &str,
) -> Result<Vec<Object>, Fault> {
    let read = |files: &[File]| to_objects(yaml::parse_files(files)?, values, namespace);
    read(files).map_err(|fault| {
        if fault.reason == Reason::EmptyBundle {
            return fault;
        }
        let mut named = files.iter().filter_map(|file| Some((file.name.as_ref()?, file)));
        let message = named.find_map(|(name, file)| {
            let alone = read(std::slice::from_ref(file)).err()?;
            (alone.reason == fault.reason).then(|| format!("{name}: {}", alone.message))
        });
        message.map_or(fault.clone(), |message| Fault::new(fault.reason, message))
    })
}

fn to_objects(
    documents: Vec<Value>,
    values: &BTreeMap<String, String>,
    namespace: &str,
) -> Result<Vec<Object>, Fault> {
    let mut objects = Vec::new();
    for document in documents {
        unfold(document, &mut objects)?;
    }
    let mut substitution = Substitution::new(values);
    for object in &mut objects {
        substitution.fill(&mut object.0)?;
        validate(object)?;
        normalise(object);
    }
    if objects.is_empty() {
        return Err(Fault::new(Reason::EmptyBundle, "the bundle has no objects"));
    }
    reject_duplicates(&objects, namespace)?;
    Ok(objects)
}

/// Adds the object of a document, or those of a list, either `kind: List` or a typed one. Skips empty documents.
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
                format!("document {} is not an object but {}", objects.len() + 1, describe(&other)),
            ));
        }
    }
    if objects.len() > MAX_OBJECTS {
        return Err(Fault::new(
            Reason::BundleTooLarge,
            format!("the bundle has more than {MAX_OBJECTS} objects"),
        ));
    }
    Ok(())
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn validate(object: &Object) -> Result<(), Fault> {
    validate_identity(object)?;
    reject_lockout(object)?;
    reject_misplaced(object)?;
    reject_foreign_hook(object)?;
    if object.group() == GROUP {
        return Err(invalid(
            object,
            "is of the agent's own API group; a bundle cannot assign add-ons",
        ));
    }
    Ok(())
}

fn validate_identity(object: &Object) -> Result<(), Fault> {
    if object.kind().is_empty() || object.api_version().is_empty() {
        let name = object.name();
        let named = if name.is_empty() { String::new() } else { format!(" named {name:?}") };
        let message = format!("a document{named} has no kind or no apiVersion");
        return Err(Fault::new(Reason::InvalidObject, message));
    }
    if object.0.pointer("/metadata/generateName").is_some() {
        return Err(invalid(object, "uses generateName; a release needs fixed names"));
    }
    if object.name().is_empty() {
        return Err(invalid(object, "has no name"));
    }
    if !is_path_segment(object.name()) || object.namespace().is_some_and(|n| !is_path_segment(n)) {
        return Err(invalid(object, "has a name or namespace that no object can have"));
    }
    Ok(())
}

fn invalid(object: &Object, problem: &str) -> Fault {
    let message = format!("{} {:?} {problem}", object.kind(), object.name());
    Fault::new(Reason::InvalidObject, message)
}

/// Names become parts of request paths.
fn is_path_segment(name: &str) -> bool {
    let is_illegal = |c: char| c.is_whitespace() || c.is_control() || "/%?#\\".contains(c);
    name.len() <= 253 && !name.contains(is_illegal) && name != "." && name != ".."
}

fn reject_duplicates(objects: &[Object], namespace: &str) -> Result<(), Fault> {
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
    use crate::names::annotation;

    fn check(documents: Value) -> Result<Vec<String>, Reason> {
        let documents = documents.as_array().cloned().expect("a list of documents");
        to_objects(documents, &BTreeMap::new(), "here")
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
    fn an_error_is_reported_with_the_name_of_its_file() {
        let good = map("good").to_string();
        for (second, words) in [
            (b"b: 1\nb: 2".as_slice(), "1.yaml: not YAML: duplicate"),
            (b"a: 'open", "1.yaml: not YAML"),
            (b"a: *x", "1.yaml: not YAML"),
            (b"\x1f\x8b\x08\x00\xff", "1.yaml: an archive"),
            (b"\xff", "1.yaml: not UTF-8"),
            (b"It sells.", "1.yaml: document 1 is not an object"),
            (b"a: b", "1.yaml: a document has no kind"),
            (good.as_bytes(), "ConfigMap good is in the bundle twice"),
        ] {
            let file = |name: &str, bytes: &[u8]| File {
                name: Some(name.to_owned()),
                bytes: bytes.to_vec(),
            };
            let files = [file("0.yaml", good.as_bytes()), file("1.yaml", second)];
            let message = read_objects(&files, &BTreeMap::new(), "here").expect_err(words).message;
            assert!(message.starts_with(words), "{message}");
        }
    }

    #[test]
    fn fields_that_the_api_server_writes_are_dropped() {
        let mut exported = map("a");
        exported["status"] = json!({"ready": true});
        exported["metadata"]["uid"] = json!("1");
        exported["metadata"]["creationTimestamp"] = json!(null);
        assert_eq!(check(json!([exported])), Ok(vec![map("a").to_string()]));
    }

    fn hook(api_version: &str, kind: &str, hook: &str) -> Value {
        let annotations = json!({annotation::HOOK: hook});
        json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "annotations": annotations}})
    }

    #[test]
    fn jobs_may_be_hooks() {
        for name in ["verify", "pre-upgrade"] {
            assert_eq!(check(json!([hook("batch/v1", "Job", name)])).map(|o| o.len()), Ok(1));
        }
    }

    #[test]
    fn bundles_without_clear_objects_are_rejected() {
        let mut generated = map("");
        generated["metadata"] = json!({"generateName": "a-"});
        let mut elsewhere = map("a");
        elsewhere["metadata"]["namespace"] = json!("here");
        let own = json!({"apiVersion": "lifecycle.open-cluster-management.io/v1alpha1", "kind": "ManagedAddOn", "metadata": {"name": "x"}});
        let mut helm_hook = map("a");
        helm_hook["metadata"]["annotations"] = json!({"helm.sh/hook": "test"});
        let every = json!({"apiGroups": ["*"], "resources": ["*"], "operations": ["*"]});
        let webhook = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "a"}, "webhooks": [{"name": "x", "rules": [every]}],
        });
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
            (json!([helm_hook]), Reason::InvalidObject),
            (json!([webhook]), Reason::InvalidObject),
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
