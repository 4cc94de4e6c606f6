//! Kinds whose health is a field or a condition.

use super::Health;
use super::fields::{condition, is_true, text};
use crate::object::Object;

pub(super) fn claim(object: &Object) -> Health {
    let phase = text(object, "/status/phase");
    let told = if phase.is_empty() { "of unknown phase" } else { phase };
    Health::current_when(phase == "Bound", || format!("is {told}"))
}

/// One that was released and could not be reclaimed.
pub(super) fn volume(object: &Object) -> Health {
    match text(object, "/status/phase") {
        "Failed" => {
            let why = text(object, "/status/message");
            Health::failed(if why.is_empty() { "has failed" } else { why })
        }
        _ => Health::current(),
    }
}

/// As in kstatus, the load balancer itself is not awaited: where nothing provides one it never comes.
pub(super) fn service(object: &Object) -> Health {
    let waits =
        text(object, "/spec/type") == "LoadBalancer" && text(object, "/spec/clusterIP").is_empty();
    Health::current_when(!waits, || "has no cluster IP yet".to_owned())
}

pub(super) fn definition(object: &Object) -> Health {
    let refused = |kind| condition(object, kind).filter(|c| c.status == "False");
    if let Some(names) = refused("NamesAccepted") {
        return Health::failed(names.after("names are not accepted"));
    }
    if let Some(other) = refused("Established").filter(|c| c.reason != "Installing") {
        return Health::failed(other.after("is not established"));
    }
    let established = is_true(object, "Established");
    Health::current_when(established, || "is not established yet".to_owned())
}

pub(super) fn api_service(object: &Object) -> Health {
    match condition(object, "Available") {
        Some(c) if c.status == "True" => Health::current(),
        Some(c) => Health::in_progress(c.after("is not available")),
        None => Health::in_progress("is not available yet"),
    }
}
