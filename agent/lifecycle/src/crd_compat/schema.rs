//! Reading an OpenAPI schema of a definition.

use serde_json::Value;

/// Fields of an object that no schema decides about: the API server knows the first three of every object, and a controller
/// writes the status again.
const UNJUDGED_FIELDS: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// Returns whether a schema decides about this field of an object.
pub(super) fn is_judged(field: &str) -> bool {
    !UNJUDGED_FIELDS.contains(&field)
}

/// The schemas of the fields that a schema names.
pub(super) fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// The schema of one field.
pub(super) fn property<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema.get("properties")?.get(name)
}

/// The schema of every value of a map.
pub(super) fn map_values(schema: &Value) -> Option<&Value> {
    schema.get("additionalProperties").filter(|values| values.is_object())
}

/// The names of the fields that have to exist.
pub(super) fn required(schema: &Value) -> impl Iterator<Item = &str> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str)
}

/// Returns whether fields that the schema does not name are kept.
pub(super) fn keeps_unknown(schema: &Value) -> bool {
    let map = schema.get("additionalProperties");
    is_true(schema, "x-kubernetes-preserve-unknown-fields")
        || map.is_some_and(|values| values != &Value::Bool(false))
}

/// Returns whether a boolean of the schema is true.
pub(super) fn is_true(schema: &Value, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}
