//! Rules for every kind, and the rule for kinds without one of their own.

use serde_json::Value;

use super::context::HealthContext;
use super::fields::{find_condition, number_at, outdated_conditions};
use super::status::Health;
use crate::kind::is_built_in;
use crate::object::Object;

/// Returns the health that decides for every kind, if there is one: an older generation, or the conditions
/// `Reconciling` and `Stalled` of kstatus.
pub(super) fn assess_any_kind(object: &Object) -> Option<Health> {
    let find_true = |name| find_condition(object, name).filter(|condition| condition.is_true());
    assess_generation(object)
        .or_else(|| {
            let reconciling = find_true("Reconciling")?;
            Some(Health::in_progress(reconciling.message_or("is reconciling")))
        })
        .or_else(|| Some(Health::failed(find_true("Stalled")?.message_or("is stalled"))))
}

/// Returns `InProgress` if the status is of an older generation than the object.
pub(super) fn assess_generation(object: &Object) -> Option<Health> {
    let observed = number_at(object, "/status/observedGeneration")?;
    let generation = number_at(object, "/metadata/generation")?;
    (observed < generation).then(|| {
        Health::in_progress(format!(
            "generation is {generation}, observed generation is {observed}"
        ))
    })
}

/// The health of a kind without a rule of its own, by its condition `Ready`.
pub(super) fn assess_by_ready(object: &Object, context: &HealthContext) -> Health {
    if outdated_conditions(object).any(|name| name == "Ready") {
        return Health::in_progress("condition Ready is of an older generation");
    }
    if context.since_apply < context.graces.no_status {
        if has_no_status(object) && !is_built_in(object.group()) {
            return Health::in_progress("has no status yet");
        }
        if outdated_conditions(object).next().is_some() {
            return Health::in_progress("has conditions of an older generation");
        }
    }
    match find_condition(object, "Ready") {
        Some(ready) if !ready.is_true() => Health::in_progress(ready.explain("is not ready")),
        _ => Health::current(),
    }
}

/// Returns whether the status is absent or empty.
pub(super) fn has_no_status(object: &Object) -> bool {
    match object.0.get("status") {
        None | Some(Value::Null) => true,
        Some(status) => status.as_object().is_some_and(|fields| fields.is_empty()),
    }
}
