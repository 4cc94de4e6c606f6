//! Jobs, and applied objects that do not exist.

use super::fields::{find_condition, has_true, number_at, text_at};
use super::status::Health;
use crate::kind::KnownKind;
use crate::object::Object;
use crate::plan::jobs::has_run;

/// As in kstatus, a Job is `Current` once it has started, before its result is known. A complete Job stays `Current`
/// when it is applied again.
pub(super) fn assess_job(object: &Object) -> Health {
    if let Some(failed) = find_condition(object, "Failed").filter(|condition| condition.is_true()) {
        return Health::failed(format!("job failed: {}", failed.message));
    }
    let has_started = !text_at(object, "/status/startTime").is_empty();
    let is_current = has_true(object, "Complete") || has_true(object, "Suspended") || has_started;
    Health::current_if(is_current, || "has not started yet".to_owned())
}

/// Returns the health of an object that was applied and does not exist. `running` are the objects of the previous
/// version: a Job that it had in the same form does not run again.
pub fn assess_absent(object: &Object, running: &[Object]) -> Health {
    if has_run(object, running) {
        return Health::current_with("has run for the previous version");
    }
    if object.is(KnownKind::Job) && number_at(object, "/spec/ttlSecondsAfterFinished").is_some() {
        return Health::current_with("has finished and was deleted after ttlSecondsAfterFinished");
    }
    Health::not_found()
}
