//! Fields of living objects, read leniently: a missing or malformed field counts as absent.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::object::Object;

/// A condition of a status, as its controller wrote it.
pub(super) struct Condition<'a> {
    pub status: &'a str,
    pub reason: &'a str,
    pub message: &'a str,
    /// The last update, for kinds that record it, otherwise the last transition.
    pub updated: Option<Timestamp>,
}

impl Condition<'_> {
    pub fn is_true(&self) -> bool {
        self.status == "True"
    }

    pub fn is_false(&self) -> bool {
        self.status == "False"
    }

    /// Returns `text: message`, or the text alone if the condition has no message.
    pub fn explain(&self, text: &str) -> String {
        append_reason(text, self.message)
    }

    /// Returns the message, or `default` if the condition has none.
    pub fn message_or(&self, default: &str) -> String {
        if self.message.is_empty() { default } else { self.message }.to_owned()
    }
}

/// Returns `text: reason`, or the text alone if the reason is empty.
pub(super) fn append_reason(text: &str, reason: &str) -> String {
    if reason.is_empty() { text.to_owned() } else { format!("{text}: {reason}") }
}

/// Returns the condition of this type, unless it is of an older generation.
pub(super) fn find_condition<'a>(object: &'a Object, name: &str) -> Option<Condition<'a>> {
    let condition = conditions(object).find(|condition| text_field(condition, "type") == name)?;
    if is_outdated(object, condition) {
        return None;
    }
    Some(Condition {
        status: text_field(condition, "status"),
        reason: text_field(condition, "reason"),
        message: text_field(condition, "message"),
        updated: parse_time(text_field(condition, "lastUpdateTime"))
            .or_else(|| parse_time(text_field(condition, "lastTransitionTime"))),
    })
}

/// Returns whether the condition of this type is `True` and of the newest generation.
pub(super) fn has_true(object: &Object, condition: &str) -> bool {
    find_condition(object, condition).is_some_and(|condition| condition.is_true())
}

/// The types of the conditions that are of an older generation.
pub(super) fn outdated_conditions(object: &Object) -> impl Iterator<Item = &str> {
    let outdated = conditions(object).filter(|condition| is_outdated(object, condition));
    outdated.map(|condition| text_field(condition, "type"))
}

fn is_outdated(object: &Object, condition: &Value) -> bool {
    let generation = count_at(object, "/metadata/generation");
    let observed = condition.get("observedGeneration").and_then(Value::as_i64);
    observed.is_some_and(|observed| observed < generation)
}

fn conditions(object: &Object) -> impl Iterator<Item = &Value> {
    object.0.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten()
}

/// The text of a field; empty if absent.
pub(super) fn text_field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The text at a JSON pointer; empty if absent.
pub(super) fn text_at<'a>(object: &'a Object, pointer: &str) -> &'a str {
    object.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The whole number at a JSON pointer.
pub(super) fn number_at(object: &Object, pointer: &str) -> Option<i64> {
    object.0.pointer(pointer).and_then(Value::as_i64)
}

/// The whole number at a JSON pointer; zero if absent.
pub(super) fn count_at(object: &Object, pointer: &str) -> i64 {
    number_at(object, pointer).unwrap_or(0)
}

/// Parses a time as in RFC 3339.
pub(super) fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// The map of strings at a JSON pointer, such as labels or a selector.
pub(super) fn strings_at(object: &Object, pointer: &str) -> Option<BTreeMap<String, String>> {
    let fields = object.0.pointer(pointer)?.as_object()?;
    let pair = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    Some(fields.iter().filter_map(pair).collect())
}

/// Returns whether the object is being deleted.
pub(super) fn is_terminating(object: &Object) -> bool {
    object.0.pointer("/metadata/deletionTimestamp").is_some()
}
