//! Rules of a release's own for kinds that the built-in rules do not know: `failed`, `inProgress` and `current` as CEL over
//! `object`, asked in this order.

mod expression;

use serde_json::Value;

use crate::api::HealthRule;
use crate::object::Object;
use crate::reason::{Fault, Reason};

use super::generic::behind;
use super::{Health, HealthStatus};
use expression::{Answer, Expression};

/// Bytes times the longest list: a hundred conditions of 400 bytes, or a list of 20 in 200 KB.
const MOST_WORK: usize = 4 * 1024 * 1024;
const SCALAR: usize = 8;

/// As many as the API takes.
const MOST_RULES: usize = 32;

/// Compiled once a release.
#[derive(Debug, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    api_version: String,
    kind: String,
    /// In the order they are asked, with what `true` means.
    asked: Vec<(&'static str, HealthStatus, Expression)>,
}

impl Rules {
    /// Takes time: some milliseconds an expression.
    pub fn compile(rules: &[HealthRule]) -> Result<Self, Fault> {
        if rules.len() > MOST_RULES {
            return Err(refused(format!("more than {MOST_RULES} rules")));
        }
        let mut compiled: Vec<Rule> = Vec::new();
        for rule in rules {
            if compiled.iter().any(|other| other.is_of(&rule.api_version, &rule.kind)) {
                return Err(refused(format!("{}: has two rules", named(rule))));
            }
            compiled.push(Rule::compile(rule)?);
        }
        Ok(Self(compiled))
    }

    /// Whether a rule decides about this object, instead of the built-in ones.
    pub fn decide(&self, object: &Object) -> bool {
        self.rule(object).is_some()
    }

    /// What the rule for this object says of the living one. Takes time, which nothing in here bounds.
    pub fn assess(&self, living: &Object) -> Option<Health> {
        let rule = self.rule(living)?;
        if living.0.pointer("/metadata/deletionTimestamp").is_some() {
            return Some(Health::terminating());
        }
        Some(behind(living).unwrap_or_else(|| rule.assess(living)))
    }

    fn rule(&self, object: &Object) -> Option<&Rule> {
        self.0.iter().find(|rule| rule.is_of(object.api_version(), object.kind()))
    }
}

impl Rule {
    fn compile(rule: &HealthRule) -> Result<Self, Fault> {
        // It has no health to tell, and nothing of it may get into a message.
        if (rule.api_version.as_str(), rule.kind.as_str()) == ("v1", "Secret") {
            return Err(refused(format!("{}: a Secret has no health", named(rule))));
        }
        let given = [
            ("failed", HealthStatus::Failed, rule.failed.as_deref()),
            ("inProgress", HealthStatus::InProgress, rule.in_progress.as_deref()),
            ("current", HealthStatus::Current, Some(rule.current.as_str())),
        ];
        let mut asked = Vec::new();
        for (name, status, text) in given {
            let Some(text) = text else { continue };
            let expression = Expression::compile(text)
                .map_err(|why| refused(format!("{}: {name}: {why}", named(rule))))?;
            asked.push((name, status, expression));
        }
        Ok(Self { api_version: rule.api_version.clone(), kind: rule.kind.clone(), asked })
    }

    fn is_of(&self, api_version: &str, kind: &str) -> bool {
        (self.api_version.as_str(), self.kind.as_str()) == (api_version, kind)
    }

    fn assess(&self, living: &Object) -> Health {
        if let Some(why) = too_large(&living.0) {
            return Health::unknown(why);
        }
        let object = expression::value(&living.0);
        for (name, status, expression) in &self.asked {
            match expression.ask(&object) {
                Answer::Yes if *status == HealthStatus::Current => return Health::current(),
                Answer::Yes => {
                    let message = format!("its health rule says {name}");
                    return Health { status: *status, message };
                }
                Answer::No => {}
                // A field that is not there yet is nobody's failure.
                Answer::Unclear(why) => {
                    return Health::in_progress(format!("its health rule {name}: {why}"));
                }
            }
        }
        Health::in_progress("its health rule does not say current yet")
    }
}

/// Nothing bounds what an expression takes: a loop over the longest list may copy the whole object each time.
fn too_large(object: &Value) -> Option<String> {
    let Weight { bytes, longest } = Weight::of(object);
    let message = format!("is too large for a health rule: {bytes} bytes, and a list of {longest}");
    (bytes.saturating_mul(longest) > MOST_WORK).then_some(message)
}

/// The bytes of what a value holds, and the length of its longest list or map.
#[derive(Default)]
struct Weight {
    bytes: usize,
    longest: usize,
}

impl Weight {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Self { bytes: SCALAR, longest: 1 },
            Value::String(text) => Self { bytes: text.len(), longest: 1 },
            Value::Array(items) => Self::all(0, items.len(), items.iter()),
            Value::Object(fields) => {
                Self::all(fields.keys().map(String::len).sum(), fields.len(), fields.values())
            }
        }
    }

    fn all<'a>(bytes: usize, length: usize, values: impl Iterator<Item = &'a Value>) -> Self {
        let start = Self { bytes, longest: length };
        values.map(Self::of).fold(start, |all, one| Self {
            bytes: all.bytes + one.bytes,
            longest: all.longest.max(one.longest),
        })
    }
}

fn named(rule: &HealthRule) -> String {
    format!("health rule for {} {}", rule.api_version, rule.kind)
}

fn refused(why: String) -> Fault {
    Fault::new(Reason::InvalidAssignment, why)
}
