//! Fields of living objects, read leniently: what is missing or misshapen is as if it were not there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::object::Object;

/// A condition as its writer left it.
pub(super) struct Condition<'a> {
    pub status: &'a str,
    pub reason: &'a str,
    pub message: &'a str,
    /// When it last changed, or was last confirmed where its kind says that.
    pub at: Option<Timestamp>,
}

impl Condition<'_> {
    /// Its message after these words, where it has one.
    pub fn after(&self, words: &str) -> String {
        after(words, self.message)
    }

    /// Its message, or these words where it has none.
    pub fn or(&self, words: &str) -> String {
        if self.message.is_empty() { words } else { self.message }.to_owned()
    }
}

/// Words, and why where that is told.
pub(super) fn after(words: &str, why: &str) -> String {
    if why.is_empty() { words.to_owned() } else { format!("{words}: {why}") }
}

/// A condition, unless it speaks of an older generation.
pub(super) fn condition<'a>(object: &'a Object, kind: &str) -> Option<Condition<'a>> {
    let found = conditions(object).find(|condition| field(condition, "type") == kind)?;
    if is_outdated(object, found) {
        return None;
    }
    Some(Condition {
        status: field(found, "status"),
        reason: field(found, "reason"),
        message: field(found, "message"),
        at: time(field(found, "lastUpdateTime"))
            .or_else(|| time(field(found, "lastTransitionTime"))),
    })
}

pub(crate) fn is_true(object: &Object, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition.status == "True")
}

/// The types of the conditions that speak of an older generation.
pub(super) fn outdated(object: &Object) -> impl Iterator<Item = &str> {
    let old = conditions(object).filter(|condition| is_outdated(object, condition));
    old.map(|condition| field(condition, "type"))
}

fn is_outdated(object: &Object, condition: &Value) -> bool {
    let generation = count(object, "/metadata/generation");
    let observed = condition.get("observedGeneration").and_then(Value::as_i64);
    observed.is_some_and(|observed| observed < generation)
}

fn conditions(object: &Object) -> impl Iterator<Item = &Value> {
    object.0.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten()
}

pub(super) fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn text<'a>(object: &'a Object, pointer: &str) -> &'a str {
    object.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn number(object: &Object, pointer: &str) -> Option<i64> {
    object.0.pointer(pointer).and_then(Value::as_i64)
}

pub(super) fn count(object: &Object, pointer: &str) -> i64 {
    number(object, pointer).unwrap_or(0)
}

pub(super) fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// A map of strings, such as labels or a selector.
pub(super) fn map(object: &Object, pointer: &str) -> Option<BTreeMap<String, String>> {
    let fields = object.0.pointer(pointer)?.as_object()?;
    let pair = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    Some(fields.iter().filter_map(pair).collect())
}
