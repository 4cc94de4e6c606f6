//! Jobs.

use super::Health;
use super::fields::{condition, is_true, number, text};
use crate::object::Object;
use crate::plan::{has_run, is_job};

/// As in kstatus, a Job that has started counts as Current: whether it succeeds is told later. One that is complete
/// stays Current however often it is applied again.
pub(super) fn job(object: &Object) -> Health {
    if let Some(failed) = condition(object, "Failed").filter(|c| c.status == "True") {
        return Health::failed(format!("job failed: {}", failed.message));
    }
    let started = !text(object, "/status/startTime").is_empty();
    let is_current = is_true(object, "Complete") || is_true(object, "Suspended") || started;
    Health::current_when(is_current, || "has not started yet".to_owned())
}

/// The health of an object that was applied and is not there; `running` is what the version before it had.
pub fn absent(object: &Object, running: &[Object]) -> Health {
    if has_run(object, running) {
        return Health::current_but("has run for the version before");
    }
    if is_job(object) && number(object, "/spec/ttlSecondsAfterFinished").is_some() {
        return Health::current_but("has finished and is gone, as ttlSecondsAfterFinished asks");
    }
    Health::not_found()
}
