//! In which ways the schema of a version is narrower than another one.

use std::fmt::{Display, Formatter, Result};

use serde_json::Value;

use super::schema::{
    is_judged, is_true, keeps_unknown, map_values, properties, property, required,
};

/// How a field became narrower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrowing {
    /// The field is gone; its values are dropped.
    Removed,
    /// Unknown fields below it are dropped.
    Closed,
    /// It has another type.
    Retyped,
    /// It has to exist, and has no default.
    Required,
    /// An enum or a limit excludes some values.
    Tightened,
    /// Another pattern, format or CEL rule. Values are not compared with these.
    Rule,
}

impl Display for Narrowing {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Narrowing::Removed => "is gone",
            Narrowing::Closed => "no longer accepts unknown fields",
            Narrowing::Retyped => "has another type",
            Narrowing::Required => "is required",
            Narrowing::Tightened => "accepts fewer values",
            Narrowing::Rule => "has another rule",
        })
    }
}

/// Rules of a schema that are compared as they are written: values are not checked against them.
const RULES: [&str; 9] = [
    "pattern",
    "format",
    "multipleOf",
    "oneOf",
    "anyOf",
    "allOf",
    "not",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
];

const MAXIMA: [&str; 4] = ["maximum", "maxLength", "maxItems", "maxProperties"];
const MINIMA: [&str; 4] = ["minimum", "minLength", "minItems", "minProperties"];
const RESTRICTIONS: [&str; 3] = ["exclusiveMaximum", "exclusiveMinimum", "uniqueItems"];

/// Calls `add` with the path of each field that is narrower in the schema `new` of whole objects, and how.
pub(super) fn compare_schemas(old: &Value, new: &Value, add: &mut impl FnMut(&str, Narrowing)) {
    for (name, old) in properties(old).filter(|(name, _)| is_judged(name)) {
        compare_property(old, new, name, name, add);
    }
    compare_rules(old, new, "the object", add);
}

/// Compares a field of the old schema with the field of that name below `new`.
fn compare_property(
    old: &Value,
    new: &Value,
    name: &str,
    path: &str,
    add: &mut impl FnMut(&str, Narrowing),
) {
    match property(new, name) {
        Some(new) => compare_values(old, new, path, add),
        None if keeps_unknown(new) => {}
        None => add(path, Narrowing::Removed),
    }
}

fn compare_values(old: &Value, new: &Value, path: &str, add: &mut impl FnMut(&str, Narrowing)) {
    if !accepts_type(new, old) {
        return add(path, Narrowing::Retyped);
    }
    for (name, old) in properties(old) {
        compare_property(old, new, name, &format!("{path}.{name}"), add);
    }
    if let (Some(old), Some(new)) = (old.get("items"), new.get("items")) {
        compare_values(old, new, &format!("{path}[]"), add);
    }
    compare_rules(old, new, path, add);
}

/// Compares what two schemas say about a value itself and about every value of a map, not about its named fields.
fn compare_rules(old: &Value, new: &Value, path: &str, add: &mut impl FnMut(&str, Narrowing)) {
    if keeps_unknown(old) && !keeps_unknown(new) {
        add(path, Narrowing::Closed);
    }
    if let (Some(old), Some(new)) = (map_values(old), map_values(new)) {
        compare_values(old, new, &format!("{path}.*"), add);
    }
    for name in required(new).filter(|name| !required(old).any(|old| old == *name)) {
        if property(new, name).and_then(|schema| schema.get("default")).is_none() {
            add(&format!("{path}.{name}"), Narrowing::Required);
        }
    }
    if accepts_fewer(old, new) {
        add(path, Narrowing::Tightened);
    }
    if RULES.iter().any(|rule| new.get(rule).is_some() && new.get(rule) != old.get(rule)) {
        add(path, Narrowing::Rule);
    }
}

fn accepts_fewer(old: &Value, new: &Value) -> bool {
    let number = |schema: &Value, name| schema.get(name).and_then(Value::as_f64);
    let is_lower =
        |name| number(new, name).is_some_and(|new| number(old, name).is_none_or(|old| new < old));
    let is_higher =
        |name| number(new, name).is_some_and(|new| number(old, name).is_none_or(|old| new > old));
    let is_added = |name| is_true(new, name) && !is_true(old, name);
    MAXIMA.into_iter().any(is_lower)
        || MINIMA.into_iter().any(is_higher)
        || RESTRICTIONS.into_iter().any(is_added)
        || is_true(old, "nullable") && !is_true(new, "nullable")
        || lost_values(old, new)
}

/// Returns whether an enum lacks values that were allowed before.
fn lost_values(old: &Value, new: &Value) -> bool {
    let values = |schema: &Value| schema.get("enum").and_then(Value::as_array).cloned();
    match (values(old), values(new)) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(old), Some(new)) => old.iter().any(|value| !new.contains(value)),
    }
}

/// Returns whether every value of the old type is one of the new type.
fn accepts_type(new: &Value, old: &Value) -> bool {
    let type_of = |schema: &Value| schema.get("type").and_then(Value::as_str).map(str::to_owned);
    let is_either = |schema: &Value| is_true(schema, "x-kubernetes-int-or-string");
    match (type_of(old).as_deref(), type_of(new).as_deref()) {
        (Some("integer" | "string"), _) if is_either(new) => true,
        (_, None) => !is_either(new) || is_either(old),
        (Some("integer"), Some("number")) => true,
        (old, new) => old == new,
    }
}
