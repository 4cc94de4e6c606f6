//! Data loss: the effect of a changed definition on one living object.

use serde_json::{Map, Value};

use super::definition::{Definition, DefinitionVersion};
use super::schema::{is_judged, is_true, keeps_unknown, map_values, property, required};

/// Maximum number of losses reported of one object: enough to see what is meant.
const MAX_LOSSES: usize = 8;

impl Definition {
    /// Returns what an object that was read in `version` would lose, or be refused for, if this definition replaced `old`.
    /// What `old` does to it already is left out. The texts repeat no value of the object.
    pub fn data_loss(&self, old: &Definition, version: &str, object: &Value) -> Vec<String> {
        let before = old.version(version).map_or_else(Vec::new, |it| old.losses(it, object));
        let mut losses: Vec<String> =
            self.binding_versions(version).flat_map(|it| self.losses(it, object)).collect();
        losses.retain(|loss| !before.contains(loss));
        losses.dedup();
        losses.truncate(MAX_LOSSES);
        losses
    }

    /// The versions whose schemas bind such an object: its own, and without conversion also the stored one.
    fn binding_versions(&self, version: &str) -> impl Iterator<Item = &DefinitionVersion> {
        let stored = self.storage().filter(|stored| !self.converts() && stored.name != version);
        self.version(version).into_iter().chain(stored)
    }

    fn losses(&self, version: &DefinitionVersion, object: &Value) -> Vec<String> {
        let mut losses = Vec::new();
        if let Some(fields) = object.as_object().filter(|_| !self.preserves_unknown) {
            check_object(&version.schema, fields, &mut losses);
        }
        losses
    }
}

fn check_object(schema: &Value, fields: &Map<String, Value>, losses: &mut Vec<String>) {
    for (name, value) in fields.iter().filter(|(name, _)| is_judged(name)) {
        match property(schema, name) {
            Some(schema) => check_value(schema, value, name, losses),
            None if keeps_unknown(schema) => {}
            None => losses.push(format!("would lose {name}")),
        }
    }
    let missing = required(schema).filter(|name| is_judged(name) && !fields.contains_key(*name));
    losses.extend(missing.map(|name| format!("would need {name}")));
}

fn check_value(schema: &Value, value: &Value, path: &str, losses: &mut Vec<String>) {
    if losses.len() > MAX_LOSSES || value.is_null() {
        return;
    }
    if !is_of_type(schema, value) {
        return losses.push(format!("has {path} in another type"));
    }
    if exceeds_limits(schema, value) {
        losses.push(format!("has {path} outside of what is allowed"));
    }
    match value {
        Value::Object(fields) => check_fields(schema, fields, path, losses),
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else { return };
            items.iter().for_each(|item| check_value(schema, item, &format!("{path}[]"), losses));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn check_fields(schema: &Value, fields: &Map<String, Value>, path: &str, losses: &mut Vec<String>) {
    let map = map_values(schema);
    for (name, value) in fields {
        match property(schema, name).or(map) {
            // The keys of a map are content, which no message repeats.
            Some(schema) if map.is_some() => {
                check_value(schema, value, &format!("{path}.*"), losses);
            }
            Some(schema) => check_value(schema, value, &format!("{path}.{name}"), losses),
            None if keeps_unknown(schema) => {}
            None => losses.push(format!("would lose {path}.{name}")),
        }
    }
    let has_default =
        |name: &str| property(schema, name).is_some_and(|it| it.get("default").is_some());
    let missing = required(schema).filter(|name| !fields.contains_key(*name) && !has_default(name));
    losses.extend(missing.map(|name| format!("would need {path}.{name}")));
}

fn is_of_type(schema: &Value, value: &Value) -> bool {
    if is_true(schema, "x-kubernetes-int-or-string") {
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

/// Returns whether a value is not of the schema's enum, or exceeds one of its limits. The size of a text is counted in
/// characters.
fn exceeds_limits(schema: &Value, value: &Value) -> bool {
    let limit = |name| schema.get(name).and_then(Value::as_f64);
    let values = schema.get("enum").and_then(Value::as_array);
    let (size, [min, max]) = match value {
        Value::String(text) => (text.chars().count() as f64, ["minLength", "maxLength"]),
        Value::Array(items) => (items.len() as f64, ["minItems", "maxItems"]),
        Value::Object(fields) => (fields.len() as f64, ["minProperties", "maxProperties"]),
        Value::Number(number) => (number.as_f64().unwrap_or_default(), ["minimum", "maximum"]),
        Value::Null | Value::Bool(_) => (0.0, ["", ""]),
    };
    values.is_some_and(|values| !values.contains(value))
        || limit(min).is_some_and(|min| size < min)
        || limit(max).is_some_and(|max| size > max)
}
