//! Hooks: Jobs of a release that run at one moment of a rollout and are not applied with the other objects. A hook runs
//! once per operation. The Job in the cluster carries the operation's mark, which is the only record of the run.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use strum::{EnumString, IntoStaticStr};

use crate::kind::KnownKind;
use crate::names::annotation;
use crate::object::Object;
use crate::reason::{Fault, Reason};

/// Minimum time for which a hook's Job stays after it ended. The result of a deleted Job cannot be read, and after a day
/// without an API server nobody reads its logs.
const RETENTION: Duration = Duration::from_secs(24 * 3600);

/// The moment at which a hook runs.
#[derive(IntoStaticStr, EnumString, Clone, Copy, Debug, PartialEq, Eq)]
#[strum(serialize_all = "kebab-case")]
pub enum Hook {
    /// Before the first write of an upgrade.
    PreUpgrade,
    /// Once everything else is healthy, before the soak.
    Verify,
}

/// The mark of an operation on the Jobs that it runs as hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRun(String);

impl HookRun {
    /// The mark of the operation with this sequence and start. A rebuilt ledger counts from 1 again; the start distinguishes
    /// its operations from earlier ones.
    pub fn new(sequence: u64, started: Timestamp) -> Self {
        Self(format!("{sequence}-{}", started.as_second()))
    }
}

impl Hook {
    /// The hook as the annotation spells it.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns the hook that an object is. None for an object that is applied with the others.
    pub fn of(object: &Object) -> Option<Hook> {
        object.annotation(annotation::HOOK)?.parse().ok()
    }
}

/// Rejects an object that is annotated as a hook and cannot be one: applied with the others it would act differently.
///
/// # Errors
/// `InvalidObject`.
pub fn reject_misplaced(object: &Object) -> Result<(), Fault> {
    let Some(name) = object.annotation(annotation::HOOK) else { return Ok(()) };
    let rejected = |why: &str| {
        Err(Fault::new(Reason::InvalidObject, format!("{}: hook {name:?} {why}", object.key())))
    };
    if Hook::of(object).is_none() {
        return rejected("is unknown; there are pre-upgrade and verify");
    }
    if !object.is(KnownKind::Job) {
        return rejected("is not a Job; only Jobs can be hooks");
    }
    Ok(())
}

/// Returns the Job to write for a hook: with the mark of the run, a deadline of at most `timeout` and at least one second,
/// and kept for at least a day after it ended. A stricter deadline and a longer retention of the bundle's stay.
pub fn prepare_job(hook: &Object, run: &HookRun, timeout: Duration) -> Object {
    let mut job = hook.clone();
    job.set_annotation(annotation::OPERATION, &run.0);
    if let Some(spec) = job.0.get_mut("spec").and_then(Value::as_object_mut) {
        let seconds = |spec: &Map<String, Value>, field| spec.get(field).and_then(Value::as_u64);
        let limit = timeout.as_secs().max(1);
        let deadline = seconds(spec, "activeDeadlineSeconds").map_or(limit, |own| own.min(limit));
        let own = seconds(spec, "ttlSecondsAfterFinished").unwrap_or(0);
        let retention = own.max(RETENTION.as_secs());
        spec.insert("activeDeadlineSeconds".to_owned(), json!(deadline));
        spec.insert("ttlSecondsAfterFinished".to_owned(), json!(retention));
    }
    job
}

/// Returns whether this run started the living Job.
pub fn is_of_run(living: &Object, run: &HookRun) -> bool {
    living.annotation(annotation::OPERATION) == Some(&run.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(name: &str, spec: Value) -> Object {
        let annotations = json!({annotation::HOOK: "verify"});
        Object(json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "namespace": "n", "annotations": annotations}, "spec": spec,
        }))
    }

    fn run(sequence: u64) -> HookRun {
        HookRun::new(sequence, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_hook_ends_within_the_timeout_of_the_rollout_and_stays_for_a_day() {
        for (spec, deadline, retention) in [
            (json!({}), 900, 86400),
            (json!({"activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": 0}), 60, 86400),
            (
                json!({"activeDeadlineSeconds": 9999, "ttlSecondsAfterFinished": 100_000}),
                900,
                100_000,
            ),
        ] {
            let job = prepare_job(&hook("a", spec), &run(7), Duration::from_secs(900));
            assert!(is_of_run(&job, &run(7)) && !is_of_run(&job, &run(8)));
            assert_eq!(job.0["spec"]["activeDeadlineSeconds"], deadline);
            assert_eq!(job.0["spec"]["ttlSecondsAfterFinished"], retention);
        }
    }
}
