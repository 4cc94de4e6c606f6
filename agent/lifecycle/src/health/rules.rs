//! Health rules of a release, for kinds that the built-in rules do not know: the CEL expressions `failed`, `inProgress` and
//! `current` over `object`, evaluated in this order.

mod expression;
mod limits;
mod size;

use crate::api::HealthRule;
use crate::kind::KnownKind;
use crate::object::Object;
use crate::reason::{Fault, Reason};

use super::fields::is_terminating;
use super::generic::assess_generation;
use super::status::{Health, HealthStatus};
use expression::{Answer, Expression};

/// As many rules as the API accepts.
const MAX_RULES: usize = 32;

/// The compiled health rules of one release. The default has none.
#[derive(Debug, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    api_version: String,
    kind: String,
    /// In the order of evaluation: name, what `true` means, expression.
    expressions: Vec<(&'static str, HealthStatus, Expression)>,
}

impl Rules {
    /// Compiles the rules of a release. Takes some milliseconds per expression.
    ///
    /// # Errors
    /// [`Reason::InvalidAssignment`] for more than 32 rules, two rules for one kind, a rule for Secrets, text that is not
    /// CEL, and expressions that name unknown variables or functions or could cost too much.
    pub fn compile(rules: &[HealthRule]) -> Result<Self, Fault> {
        if rules.len() > MAX_RULES {
            return Err(invalid(format!("more than {MAX_RULES} health rules")));
        }
        let mut compiled: Vec<Rule> = Vec::new();
        for rule in rules {
            if compiled.iter().any(|other| other.is_for(&rule.api_version, &rule.kind)) {
                return Err(invalid(format!("{}: has two rules", describe(rule))));
            }
            compiled.push(Rule::compile(rule)?);
        }
        Ok(Self(compiled))
    }

    /// Returns whether a rule judges this object. The built-in rules do not count then.
    pub fn applies_to(&self, object: &Object) -> bool {
        self.find(object).is_some()
    }

    /// Returns the health of a living object by its rule. None if no rule applies to it. The time it takes has no bound: only
    /// the size of object and expressions has.
    pub fn assess(&self, object: &Object) -> Option<Health> {
        let rule = self.find(object)?;
        if is_terminating(object) {
            return Some(Health::terminating());
        }
        Some(assess_generation(object).unwrap_or_else(|| rule.assess(object)))
    }

    fn find(&self, object: &Object) -> Option<&Rule> {
        self.0.iter().find(|rule| rule.is_for(object.api_version(), object.kind()))
    }
}

impl Rule {
    fn compile(rule: &HealthRule) -> Result<Self, Fault> {
        // A Secret has no health, and no value of it may get into a message.
        if rule.api_version == "v1" && rule.kind == KnownKind::Secret.name() {
            return Err(invalid(format!("{}: a Secret has no health", describe(rule))));
        }
        let texts = [
            ("failed", HealthStatus::Failed, rule.failed.as_deref()),
            ("inProgress", HealthStatus::InProgress, rule.in_progress.as_deref()),
            ("current", HealthStatus::Current, Some(rule.current.as_str())),
        ];
        let mut expressions = Vec::new();
        for (name, status, text) in texts {
            let Some(text) = text else { continue };
            let expression = Expression::compile(text)
                .map_err(|error| invalid(format!("{}: {name}: {error}", describe(rule))))?;
            expressions.push((name, status, expression));
        }
        Ok(Self { api_version: rule.api_version.clone(), kind: rule.kind.clone(), expressions })
    }

    fn is_for(&self, api_version: &str, kind: &str) -> bool {
        (self.api_version.as_str(), self.kind.as_str()) == (api_version, kind)
    }

    fn assess(&self, living: &Object) -> Health {
        if let Err(message) = size::check(&living.0) {
            return Health::unknown(message);
        }
        let object = expression::to_cel(&living.0);
        for (name, status, expression) in &self.expressions {
            match expression.evaluate(&object) {
                Answer::Yes if *status == HealthStatus::Current => return Health::current(),
                Answer::Yes => {
                    let message = format!("its health rule evaluates to {name}");
                    return Health { status: *status, message };
                }
                Answer::No => {}
                // A missing field is not a failure: the controller may set it later.
                Answer::Error(error) => {
                    return Health::in_progress(format!(
                        "error in its health rule, expression {name}: {error}"
                    ));
                }
            }
        }
        Health::in_progress("its health rule does not evaluate to current yet")
    }
}

fn describe(rule: &HealthRule) -> String {
    format!("health rule for {} {}", rule.api_version, rule.kind)
}

fn invalid(message: String) -> Fault {
    Fault::new(Reason::InvalidAssignment, message)
}
