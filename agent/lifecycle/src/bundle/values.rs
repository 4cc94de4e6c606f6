//! Values: strings of the assignment that replace `${NAME}` in a bundle.

use std::collections::BTreeMap;

use serde_json::Value;

/// Replaces `${NAME}` in string scalars, and never in keys. A name without a value stays as it is, for the add-on's own
/// templates.
pub(super) fn substitute(value: &mut Value, values: &BTreeMap<String, String>) {
    match value {
        Value::String(text) if text.contains("${") => *text = substitute_text(text, values),
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, values)),
        Value::Object(fields) => fields.values_mut().for_each(|field| substitute(field, values)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn substitute_text(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, name_and_rest)) = rest.split_once("${") {
        result.push_str(before);
        let known = name_and_rest
            .split_once('}')
            .and_then(|(name, after)| values.get(name).map(|value| (value, after)));
        match known {
            Some((value, after)) => {
                result.push_str(value);
                rest = after;
            }
            None => {
                result.push_str("${");
                rest = name_and_rest;
            }
        }
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_names_with_a_value_are_replaced() {
        let values = BTreeMap::from([("REGION".to_owned(), "eu-1".to_owned())]);
        let mut data = json!({"k": "${REGION} ${OTHER} ${REGION", "${REGION}": "key"});
        substitute(&mut data, &values);
        assert_eq!(data, json!({"k": "eu-1 ${OTHER} ${REGION", "${REGION}": "key"}));
    }
}
