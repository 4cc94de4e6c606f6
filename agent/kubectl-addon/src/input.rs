//! From a file to objects as they are in it, status included, within the agent's limits.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use lifecycle::bundle::yaml;
use lifecycle::health::Rules;
use lifecycle::{HealthRule, LARGEST_BUNDLE, Object};
use serde_json::Value;

pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        return all(std::io::stdin().lock()).context("standard input cannot be read");
    }
    let cannot = || format!("{} cannot be read", path.display());
    all(File::open(path).with_context(cannot)?).with_context(cannot)
}

/// One byte more than is accepted is enough to be refused.
fn all(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LARGEST_BUNDLE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn documents(bytes: &[u8]) -> anyhow::Result<Vec<Value>> {
    ensure!(bytes.len() as u64 <= LARGEST_BUNDLE, "more than {LARGEST_BUNDLE} bytes are not read");
    yaml::documents(bytes).map_err(|fault| anyhow::anyhow!(fault.message))
}

pub fn objects(bytes: &[u8]) -> anyhow::Result<Vec<Object>> {
    let mut objects = Vec::new();
    // Empty documents are not among them.
    for (index, document) in documents(bytes)?.into_iter().enumerate() {
        unfold(document, &mut objects).with_context(|| format!("document {}", index + 1))?;
    }
    Ok(objects)
}

/// Of a `ManagedAddOn`, or a list of rules as in its `spec.health`.
pub fn rules(bytes: &[u8]) -> anyhow::Result<Rules> {
    let documents = documents(bytes)?;
    let [document] = documents.as_slice() else {
        bail!("one document is needed: a ManagedAddOn, or a list of health rules")
    };
    let given = match document.get("kind").and_then(Value::as_str) {
        Some("ManagedAddOn") => document.pointer("/spec/health").cloned().unwrap_or_default(),
        _ => document.clone(),
    };
    let rules: Option<Vec<HealthRule>> =
        serde_json::from_value(given).context("neither a ManagedAddOn nor a list of rules")?;
    let rules = rules.unwrap_or_default();
    Rules::compile(&rules).map_err(|fault| anyhow::anyhow!(fault.message))
}

/// Takes `kind: List` and every typed list apart; empty documents are skipped.
fn unfold(document: Value, objects: &mut Vec<Object>) -> anyhow::Result<()> {
    let (mut fields, kind) = match document {
        Value::Null => return Ok(()),
        Value::Object(fields) => {
            let kind = fields.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
            (fields, kind)
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            bail!("is no object")
        }
    };
    if kind.ends_with("List")
        && let Some(Value::Array(items)) = fields.remove("items")
    {
        return items.into_iter().try_for_each(|item| unfold(item, objects));
    }
    let object = Object(Value::Object(fields));
    ensure!(!kind.is_empty() && !object.api_version().is_empty(), "has no kind or no apiVersion");
    ensure!(!object.name().is_empty(), "{kind} has no name");
    objects.push(object);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Vec<String>, String> {
        let read = objects(text.as_bytes()).map_err(|error| format!("{error:#}"))?;
        Ok(read.iter().map(|object| object.key().to_string()).collect())
    }

    #[test]
    fn lists_are_unfolded_and_empty_documents_skipped() {
        let map = |name| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}}}");
        let list = format!("{{apiVersion: v1, kind: ConfigMapList, items: [{}]}}", map("b"));
        let all = format!("# nothing\n---\n{}\n---\n{list}\n", map("a"));
        assert_eq!(check(&all), Ok(vec!["ConfigMap a".to_owned(), "ConfigMap b".to_owned()]));
        assert_eq!(check(""), Ok(vec![]));
        assert_eq!(check("{apiVersion: v1, kind: List, items: []}"), Ok(vec![]));
    }

    #[test]
    fn what_is_no_object_is_refused_by_its_place() {
        for (text, told) in [
            ("text", "document 1: is no object"),
            ("{apiVersion: v1, kind: List, items: []}\n---\n- a", "document 2: is no object"),
            ("{kind: Pod, metadata: {name: a}}", "document 1: has no kind or no apiVersion"),
            ("{apiVersion: v1, kind: Pod}", "document 1: Pod has no name"),
            (
                "a: 1\na: 2",
                "not YAML: duplicate mapping key `a` is not allowed here at line 2, column 1",
            ),
        ] {
            assert_eq!(check(text), Err(told.to_owned()), "{text}");
        }
    }

    #[test]
    fn rules_come_from_a_list_or_a_managed_add_on() {
        let rule = "{apiVersion: e/v1, kind: B, current: object.status.ok}";
        let is_read = |text: &str| {
            let rules = rules(text.as_bytes()).map_err(|error| format!("{error:#}"))?;
            let backend = serde_json::json!({"apiVersion": "e/v1", "kind": "B"});
            Ok::<bool, String>(rules.decide(&Object(backend)))
        };
        let assigned = format!("{{kind: ManagedAddOn, spec: {{health: [{rule}]}}}}");
        assert_eq!(is_read(&format!("[{rule}]")), Ok(true));
        assert_eq!(is_read(&assigned), Ok(true));
        assert_eq!(is_read("{kind: ManagedAddOn, spec: {}}"), Ok(false));
        for text in ["", "text", "{kind: Pod}", "[{kind: B}]", "[]\n---\n[]", "- current: ("] {
            assert!(is_read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn too_much_is_refused() {
        assert!(objects(&vec![b'a'; LARGEST_BUNDLE as usize + 1]).is_err());
        assert!(check(&"---\na: 1\n".repeat(1_100)).is_err());
    }
}
