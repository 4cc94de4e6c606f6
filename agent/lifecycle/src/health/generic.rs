//! What any object may tell of itself, and the rule for kinds without one of their own.

use serde_json::Value;

use super::fields::{condition, number, outdated};
use super::{Health, HealthContext};
use crate::object::Object;
use crate::plan::is_built_in;

/// What decides for every kind: an older generation, or the conditions `Reconciling` and `Stalled`.
pub(super) fn told(object: &Object) -> Option<Health> {
    let is = |kind| condition(object, kind).filter(|condition| condition.status == "True");
    behind(object)
        .or_else(|| is("Reconciling").map(|c| Health::in_progress(c.or("is reconciling"))))
        .or_else(|| is("Stalled").map(|c| Health::failed(c.or("is stalled"))))
}

/// The status speaks of an older generation than the object's.
pub(super) fn behind(object: &Object) -> Option<Health> {
    let observed = number(object, "/status/observedGeneration")?;
    let generation = number(object, "/metadata/generation")?;
    (observed < generation).then(|| {
        Health::in_progress(format!("generation {generation}, of which {observed} is observed"))
    })
}

pub(super) fn generic(object: &Object, context: &HealthContext) -> Health {
    if outdated(object).any(|kind| kind == "Ready") {
        return Health::in_progress("is ready or not, but of an older generation");
    }
    if context.since < context.graces.status {
        if is_silent(object) && !is_built_in(object.group()) {
            return Health::in_progress("has no status yet");
        }
        if outdated(object).next().is_some() {
            return Health::in_progress("has conditions of an older generation");
        }
    }
    match condition(object, "Ready") {
        Some(ready) if ready.status != "True" => Health::in_progress(ready.after("is not ready")),
        _ => Health::current(),
    }
}

/// Kubernetes' own kinds that have a status have it at once, and most have none.
pub(super) fn is_silent(object: &Object) -> bool {
    match object.0.get("status") {
        None | Some(Value::Null) => true,
        Some(status) => status.as_object().is_some_and(|fields| fields.is_empty()),
    }
}
