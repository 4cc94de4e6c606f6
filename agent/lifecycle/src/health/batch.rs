//! Jobs.

use super::{Health, condition, text};
use crate::object::Object;

/// As in kstatus, a Job that has started counts as Current: whether it succeeds is told later.
pub(super) fn job(object: &Object) -> Health {
    if let Some(failed) = condition(object, "Failed").filter(|c| c.status == "True") {
        return Health::failed(format!("job failed: {}", failed.message));
    }
    let is = |kind| condition(object, kind).is_some_and(|c| c.status == "True");
    let started = !text(object, "/status/startTime").is_empty();
    Health::current_when(is("Complete") || is("Suspended") || started, || {
        "has not started yet".to_owned()
    })
}
