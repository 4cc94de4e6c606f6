//! Values: strings of the assignment that replace `${NAME}` in a bundle.

use std::collections::BTreeMap;

use serde_json::Value;

use super::limits::MAX_BUNDLE_BYTES;
use crate::reason::{Fault, Reason};

/// Fills values into the objects of one bundle. A small bundle may name a long value often, so what it writes is limited.
pub(super) struct Substitution<'a> {
    values: &'a BTreeMap<String, String>,
    /// Bytes that may still be written.
    left: usize,
}

impl<'a> Substitution<'a> {
    /// Writes at most [`MAX_BUNDLE_BYTES`] in all.
    pub fn new(values: &'a BTreeMap<String, String>) -> Self {
        Self { values, left: usize::try_from(MAX_BUNDLE_BYTES).unwrap_or(usize::MAX) }
    }

    /// Replaces `${NAME}` in string scalars, and never in keys. A name without a value stays as it is, for the add-on's own
    /// templates.
    ///
    /// # Errors
    /// `BundleTooLarge`.
    pub fn fill(&mut self, value: &mut Value) -> Result<(), Fault> {
        match value {
            Value::String(text) if text.contains("${") => *text = self.fill_text(text)?,
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.fill(item))?,
            Value::Object(fields) => fields.values_mut().try_for_each(|field| self.fill(field))?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Ok(())
    }

    fn fill_text(&mut self, text: &str) -> Result<String, Fault> {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, name_and_rest)) = rest.split_once("${") {
            result.push_str(before);
            let known = name_and_rest
                .split_once('}')
                .and_then(|(name, after)| self.values.get(name).map(|value| (value, after)));
            match known {
                Some((value, after)) => {
                    self.spend(value.len())?;
                    result.push_str(value);
                    rest = after;
                }
                None => {
                    result.push_str("${");
                    rest = name_and_rest;
                }
            }
        }
        Ok(result + rest)
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Fault> {
        let left = self.left.checked_sub(bytes).ok_or_else(|| {
            let message =
                format!("its values fill more than {MAX_BUNDLE_BYTES} bytes into the bundle");
            Fault::new(Reason::BundleTooLarge, message)
        });
        self.left = left?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_names_with_a_value_are_replaced() {
        let values = BTreeMap::from([("REGION".to_owned(), "eu-1".to_owned())]);
        let mut data = json!({"k": "${REGION} ${OTHER} ${REGION", "${REGION}": "key"});
        Substitution::new(&values).fill(&mut data).unwrap();
        assert_eq!(data, json!({"k": "eu-1 ${OTHER} ${REGION", "${REGION}": "key"}));
    }

    #[test]
    fn a_small_bundle_cannot_become_a_large_one() {
        let values = BTreeMap::from([("A".to_owned(), "a".repeat(4096))]);
        let limit = usize::try_from(MAX_BUNDLE_BYTES).unwrap() / 4096;
        let filled = |times: usize| {
            // Half of it in one object: the limit is that of the bundle.
            let mut objects =
                [json!("${A}".repeat(times / 2)), json!("${A}".repeat(times - times / 2))];
            let mut substitution = Substitution::new(&values);
            objects.iter_mut().try_for_each(|object| substitution.fill(object))
        };
        assert!(filled(limit).is_ok());
        assert_eq!(filled(limit + 1).unwrap_err().reason, Reason::BundleTooLarge);
    }
}
