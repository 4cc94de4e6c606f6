//! Input files: objects with their status, and health rules, within the agent's limits for bundles.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use lifecycle::bundle::yaml;
use lifecycle::health::Rules;
use lifecycle::{HealthRule, MAX_BUNDLE_BYTES, Object};
use serde_json::Value;

/// Reads a file, or standard input for `-`.
pub fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        return read_limited(std::io::stdin().lock()).context("cannot read standard input");
    }
    let context = || format!("cannot read {}", path.display());
    read_limited(File::open(path).with_context(context)?).with_context(context)
}

/// Reads one byte more than the limit, by which input that is too large is detected.
fn read_limited(reader: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_BUNDLE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse_documents(bytes: &[u8]) -> anyhow::Result<Vec<Value>> {
    ensure!(
        bytes.len() as u64 <= MAX_BUNDLE_BYTES,
        "input is larger than {MAX_BUNDLE_BYTES} bytes"
    );
    yaml::parse_file(bytes).map_err(|fault| anyhow::anyhow!(fault.message))
}

/// Parses the objects of all documents and lists.
pub fn parse_objects(bytes: &[u8]) -> anyhow::Result<Vec<Object>> {
    let mut objects = Vec::new();
    // Empty documents are not counted.
    for (index, document) in parse_documents(bytes)?.into_iter().enumerate() {
        unfold(document, &mut objects).with_context(|| format!("document {}", index + 1))?;
    }
    Ok(objects)
}

/// Parses and compiles the health rules of a `ManagedAddOn`, or of a list as in its `spec.health`.
pub fn parse_rules(bytes: &[u8]) -> anyhow::Result<Rules> {
    let documents = parse_documents(bytes)?;
    let [document] = documents.as_slice() else {
        bail!("expected one document, a ManagedAddOn or a list of health rules")
    };
    let rules = match document.get("kind").and_then(Value::as_str) {
        Some("ManagedAddOn") => document.pointer("/spec/health").cloned().unwrap_or_default(),
        _ => document.clone(),
    };
    let rules: Option<Vec<HealthRule>> = serde_json::from_value(rules)
        .context("expected a ManagedAddOn or a list of health rules")?;
    let rules = rules.unwrap_or_default();
    Rules::compile(&rules).map_err(|fault| anyhow::anyhow!(fault.message))
}

/// Unfolds `kind: List` and every typed list. Skips empty documents.
fn unfold(document: Value, objects: &mut Vec<Object>) -> anyhow::Result<()> {
    let mut fields = match document {
        Value::Null => return Ok(()),
        Value::Object(fields) => fields,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            bail!("not an object")
        }
    };
    let kind = fields.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind.ends_with("List")
        && let Some(Value::Array(items)) = fields.remove("items")
    {
        return items.into_iter().try_for_each(|item| unfold(item, objects));
    }
    let object = Object(Value::Object(fields));
    ensure!(!kind.is_empty() && !object.api_version().is_empty(), "no kind or no apiVersion");
    ensure!(!object.name().is_empty(), "{kind} without a name");
    objects.push(object);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<String>, String> {
        let objects = parse_objects(text.as_bytes()).map_err(|error| format!("{error:#}"))?;
        Ok(objects.iter().map(|object| object.key().to_string()).collect())
    }

    #[test]
    fn lists_are_unfolded_and_empty_documents_skipped() {
        let map = |name| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}}}");
        let list = format!("{{apiVersion: v1, kind: ConfigMapList, items: [{}]}}", map("b"));
        let all = format!("# nothing\n---\n{}\n---\n{list}\n", map("a"));
        assert_eq!(parse(&all), Ok(vec!["ConfigMap a".to_owned(), "ConfigMap b".to_owned()]));
        assert_eq!(parse(""), Ok(vec![]));
        assert_eq!(parse("{apiVersion: v1, kind: List, items: []}"), Ok(vec![]));
    }

    #[test]
    fn an_error_names_the_document() {
        for (text, error) in [
            ("text", "document 1: not an object"),
            ("{apiVersion: v1, kind: List, items: []}\n---\n- a", "document 2: not an object"),
            ("{kind: Pod, metadata: {name: a}}", "document 1: no kind or no apiVersion"),
            ("{apiVersion: v1, kind: Pod}", "document 1: Pod without a name"),
            (
                "a: 1\na: 2",
                "not YAML: duplicate mapping key `a` is not allowed here at line 2, column 1",
            ),
        ] {
            assert_eq!(parse(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn rules_come_from_a_list_or_a_managed_add_on() {
        let rule = "{apiVersion: e/v1, kind: B, current: object.status.ok}";
        let has_rule = |text: &str| {
            let rules = parse_rules(text.as_bytes()).map_err(|error| format!("{error:#}"))?;
            let backend = serde_json::json!({"apiVersion": "e/v1", "kind": "B"});
            Ok::<bool, String>(rules.applies_to(&Object(backend)))
        };
        let assigned = format!("{{kind: ManagedAddOn, spec: {{health: [{rule}]}}}}");
        assert_eq!(has_rule(&format!("[{rule}]")), Ok(true));
        assert_eq!(has_rule(&assigned), Ok(true));
        assert_eq!(has_rule("{kind: ManagedAddOn, spec: {}}"), Ok(false));
        for text in ["", "text", "{kind: Pod}", "[{kind: B}]", "[]\n---\n[]", "- current: ("] {
            assert!(has_rule(text).is_err(), "{text}");
        }
    }

    #[test]
    fn input_beyond_the_limits_is_refused() {
        assert!(parse_objects(&vec![b'a'; MAX_BUNDLE_BYTES as usize + 1]).is_err());
        assert!(parse(&"---\na: 1\n".repeat(1_100)).is_err());
    }
}
