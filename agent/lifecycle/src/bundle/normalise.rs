//! Normal form of an object: without what the API server or a controller writes, and as the API server stores it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use crate::kind::KnownKind;
use crate::object::Object;
use crate::ownership::controller_fields;

/// Fields that the API server writes. In a bundle they are left over from an export.
const SERVER_FIELDS: [&str; 6] =
    ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink"];

/// Brings an object into its normal form.
pub(super) fn normalise(object: &mut Object) {
    remove_server_fields(object);
    controller_fields::remove(object);
    if object.is(KnownKind::Secret) {
        fold_string_data(object);
    }
}

/// Removes the status and the fields that the API server writes.
fn remove_server_fields(object: &mut Object) {
    let Some(fields) = object.0.as_object_mut() else { return };
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in SERVER_FIELDS {
            metadata.remove(field);
        }
        // Server-side apply takes an explicit null as "remove this field".
        metadata.retain(|_, value| !value.is_null());
    }
}

/// Moves `stringData`, which can only be written, to `data`, where it is stored. Otherwise a key that a later version drops
/// would stay. `stringData` has precedence, as for the API server, which also refuses values that are not strings.
fn fold_string_data(secret: &mut Object) {
    let Some(fields) = secret.0.as_object_mut() else { return };
    let Some(Value::Object(plain)) = fields.get("stringData") else { return };
    if !plain.values().all(|value| value.is_string() || value.is_null()) {
        return;
    }
    let encoded: Vec<(String, String)> = plain
        .iter()
        .map(|(key, value)| {
            (key.clone(), BASE64_STANDARD.encode(value.as_str().unwrap_or_default()))
        })
        .collect();
    let data = fields.entry("data").or_insert_with(|| Value::Object(Map::new()));
    if data.is_null() {
        *data = Value::Object(Map::new());
    }
    let Some(data) = data.as_object_mut() else { return };
    data.extend(encoded.into_iter().map(|(key, value)| (key, Value::String(value))));
    fields.remove("stringData");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(fields: Value) -> Value {
        let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
        for (field, value) in fields.as_object().unwrap() {
            object[field] = value.clone();
        }
        let mut object = Object(object);
        normalise(&mut object);
        json!({"data": object.0.get("data"), "stringData": object.0.get("stringData")})
    }

    #[test]
    fn string_data_becomes_data_and_has_precedence() {
        for (fields, data) in [
            (json!({"stringData": {"a": "b"}}), json!({"a": "Yg=="})),
            (
                json!({"stringData": {"a": "b"}, "data": {"a": "Yw==", "d": "ZQ=="}}),
                json!({"a": "Yg==", "d": "ZQ=="}),
            ),
            (json!({"stringData": {"a": ""}, "data": null}), json!({"a": ""})),
            (json!({"stringData": {}}), json!({})),
            (json!({"data": {"d": "ZQ=="}}), json!({"d": "ZQ=="})),
        ] {
            assert_eq!(
                secret(fields.clone()),
                json!({"data": data, "stringData": null}),
                "{fields}"
            );
        }
    }

    #[test]
    fn string_data_that_the_api_server_refuses_stays_for_it_to_refuse() {
        assert_eq!(secret(json!({"stringData": {"a": 1}}))["stringData"], json!({"a": 1}));
        assert_eq!(secret(json!({"stringData": {"a": "b"}, "data": 1}))["data"], json!(1));
    }

    #[test]
    fn only_secrets_of_the_core_group_have_string_data() {
        let mut other = Object(json!({
            "apiVersion": "example.com/v1", "kind": "Secret", "stringData": {"a": "b"},
        }));
        let before = other.clone();
        normalise(&mut other);
        assert_eq!(other, before);
    }
}
