//! What a definition would do to one living object.

use serde_json::Value;

use super::changes::{is_open, properties, required};
use super::{Definition, TOLD_BY_OTHERS};

/// Harms told of one object: enough to see what is meant.
const MOST: usize = 8;

impl Definition {
    /// What an object that was read in `version` would lose or be refused for if this definition took the place of
    /// `old`, in words; nothing of what `old` does to it already. No value is repeated.
    pub fn harm(&self, old: &Definition, version: &str, object: &Value) -> Vec<String> {
        let before =
            old.version(version).map_or_else(Vec::new, |of| found(old, &of.schema, object));
        let mut harm = Vec::new();
        for schema in self.holds(version) {
            harm.extend(found(self, schema, object));
        }
        harm.retain(|words| !before.contains(words));
        harm.dedup();
        harm.truncate(MOST);
        harm
    }

    /// The schemas that such an object has to pass: its version's, and the stored one's where nobody converts.
    fn holds(&self, version: &str) -> impl Iterator<Item = &Value> {
        let stored =
            self.storage().filter(|stored| self.converts == "None" && stored.name != version);
        self.version(version).into_iter().chain(stored).map(|version| &version.schema)
    }
}

fn found(definition: &Definition, schema: &Value, object: &Value) -> Vec<String> {
    let mut harm = Vec::new();
    if definition.preserves {
        return harm;
    }
    let Some(fields) = object.as_object() else { return harm };
    let told = |name: &str| TOLD_BY_OTHERS.contains(&name);
    for (name, value) in fields.iter().filter(|(name, _)| !told(name)) {
        match schema.get("properties").and_then(|all| all.get(name)) {
            Some(below) => hold(below, value, name, &mut harm),
            None if is_open(schema) => {}
            None => harm.push(format!("would lose {name}")),
        }
    }
    let missing = required(schema).filter(|name| !told(name) && !fields.contains_key(*name));
    harm.extend(missing.map(|name| format!("would need {name}")));
    harm
}

fn hold(schema: &Value, value: &Value, path: &str, harm: &mut Vec<String>) {
    if harm.len() > MOST || value.is_null() {
        return;
    }
    if !is_of_type(schema, value) {
        return harm.push(format!("has {path} in another type"));
    }
    if is_outside(schema, value) {
        harm.push(format!("has {path} outside of what is allowed"));
    }
    match value {
        Value::Object(fields) => hold_fields(schema, fields, path, harm),
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else { return };
            items.iter().for_each(|item| hold(schema, item, &format!("{path}[]"), harm));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn hold_fields(
    schema: &Value,
    fields: &serde_json::Map<String, Value>,
    path: &str,
    harm: &mut Vec<String>,
) {
    let every = schema.get("additionalProperties").filter(|of| of.is_object());
    for (name, value) in fields {
        match schema.get("properties").and_then(|all| all.get(name)).or(every) {
            // The keys of a map are content; what the schema names is not.
            Some(below) if every.is_some() => hold(below, value, &format!("{path}.*"), harm),
            Some(below) => hold(below, value, &format!("{path}.{name}"), harm),
            None if is_open(schema) => {}
            None => harm.push(format!("would lose {path}.{name}")),
        }
    }
    let default = |name: &str| {
        properties(schema).any(|(known, of)| known == name && of.get("default").is_some())
    };
    let missing = required(schema).filter(|name| !fields.contains_key(*name) && !default(name));
    harm.extend(missing.map(|name| format!("would need {path}.{name}")));
}

fn is_of_type(schema: &Value, value: &Value) -> bool {
    if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        return value.is_string() || value.is_i64() || value.is_u64();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some(_) | None => true,
    }
}

fn is_outside(schema: &Value, value: &Value) -> bool {
    let limit = |name| schema.get(name).and_then(Value::as_f64);
    let values = schema.get("enum").and_then(Value::as_array);
    let (size, [least, most]) = match value {
        Value::String(text) => (text.chars().count() as f64, ["minLength", "maxLength"]),
        Value::Array(items) => (items.len() as f64, ["minItems", "maxItems"]),
        Value::Object(fields) => (fields.len() as f64, ["minProperties", "maxProperties"]),
        Value::Number(number) => (number.as_f64().unwrap_or_default(), ["minimum", "maximum"]),
        Value::Null | Value::Bool(_) => (0.0, ["", ""]),
    };
    values.is_some_and(|values| !values.contains(value))
        || limit(least).is_some_and(|least| size < least)
        || limit(most).is_some_and(|most| size > most)
}
