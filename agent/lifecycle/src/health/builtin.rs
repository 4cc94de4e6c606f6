//! Kinds of Kubernetes whose health is one field or condition.

use super::fields::{find_condition, has_true, text_at};
use super::status::Health;
use crate::object::Object;

/// A PersistentVolumeClaim is `Current` when it is bound, as in kstatus.
pub(super) fn assess_claim(object: &Object) -> Health {
    let phase = text_at(object, "/status/phase");
    Health::current_if(phase == "Bound", || match phase {
        "" => "has no phase yet".to_owned(),
        phase => format!("is {phase}"),
    })
}

/// A PersistentVolume is `Failed` when it was released and could not be reclaimed.
pub(super) fn assess_volume(object: &Object) -> Health {
    match text_at(object, "/status/phase") {
        "Failed" => {
            let message = text_at(object, "/status/message");
            Health::failed(if message.is_empty() { "has failed" } else { message })
        }
        _ => Health::current(),
    }
}

/// A Service waits for its cluster IP. As in kstatus it does not wait for the load balancer itself, which never comes
/// on a cluster without a provider.
pub(super) fn assess_service(object: &Object) -> Health {
    let is_waiting = text_at(object, "/spec/type") == "LoadBalancer"
        && text_at(object, "/spec/clusterIP").is_empty();
    Health::current_if(!is_waiting, || "has no cluster IP yet".to_owned())
}

/// A CustomResourceDefinition is `Current` when it is established, and `Failed` when its names or itself are refused.
pub(super) fn assess_definition(object: &Object) -> Health {
    let find_false = |name| find_condition(object, name).filter(|condition| condition.is_false());
    if let Some(names) = find_false("NamesAccepted") {
        return Health::failed(names.explain("names are not accepted"));
    }
    if let Some(established) = find_false("Established").filter(|c| c.reason != "Installing") {
        return Health::failed(established.explain("is not established"));
    }
    let is_established = has_true(object, "Established");
    Health::current_if(is_established, || "is not established yet".to_owned())
}

/// An APIService is `Current` when it is available: requests to it fail until then.
pub(super) fn assess_api_service(object: &Object) -> Health {
    match find_condition(object, "Available") {
        Some(available) if available.is_true() => Health::current(),
        Some(available) => Health::in_progress(available.explain("is not available")),
        None => Health::in_progress("is not available yet"),
    }
}
