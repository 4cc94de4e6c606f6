//! Hooks: Jobs of a release that are run at a moment of a rollout instead of being applied with the rest. A hook is run
//! once an operation; the Job in the cluster carries the operation's mark, so that nothing else has to remember it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use strum::{EnumString, IntoStaticStr};

use crate::names::annotation;
use crate::object::Object;
use crate::plan::is_job;
use crate::reason::{Fault, Reason};

/// How long a hook's Job stays at least once it has ended: a result that is gone cannot be read, and after a day without
/// an API server nobody reads logs any more.
const KEPT: Duration = Duration::from_secs(24 * 3600);

const PRE_DELETE: &str = "addon.open-cluster-management.io/addon-pre-delete";
const PRE_DELETE_LABEL: &str = "open-cluster-management.io/addon-pre-delete";
const HELM_HOOK: &str = "helm.sh/hook";

/// Moments that applying the object with the rest comes close enough to.
const HELM_APPLIES: [&str; 5] =
    ["crd-install", "pre-install", "post-install", "pre-upgrade", "post-upgrade"];

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

    /// None for what is applied with the rest.
    pub fn of(object: &Object) -> Option<Hook> {
        object.annotation(annotation::HOOK)?.parse().ok()
    }
}

/// Refuses what is annotated as a hook and cannot be one: applied with the rest it would do something else.
pub fn refuse_misplaced(object: &Object) -> Result<(), Fault> {
    let Some(name) = object.annotation(annotation::HOOK) else { return Ok(()) };
    let refused = |why: &str| {
        Err(Fault::new(Reason::InvalidObject, format!("{}: hook {name:?} {why}", object.key())))
    };
    if Hook::of(object).is_none() {
        return refused("is unknown; there are pre-upgrade and verify");
    }
    if !is_job(object) {
        return refused("is not a Job; only Jobs can be hooks");
    }
    Ok(())
}

/// Refuses what Helm or Open Cluster Management run only when something is deleted, rolled back or tested: applied with
/// the rest it would do that at once, such as cleaning up. What Helm runs around an install or upgrade is applied.
pub fn refuse_foreign_hooks(object: &Object) -> Result<(), Fault> {
    let refused = |whose: &str| {
        let message = format!("{}: {whose}; here it would run at once. Leave it out", object.key());
        Err(Fault::new(Reason::InvalidObject, message))
    };
    if is_pre_delete(object) {
        return refused("Open Cluster Management runs it before an add-on is deleted");
    }
    match object.annotation(HELM_HOOK) {
        Some(moments) if !moments.split(',').any(is_applied_for) => {
            refused(&format!("Helm runs it for {moments:?}"))
        }
        _ => Ok(()),
    }
}

/// Helm does not mind capitals.
fn is_applied_for(moment: &str) -> bool {
    HELM_APPLIES.iter().any(|applied| applied.eq_ignore_ascii_case(moment.trim()))
}

/// By the annotation, or by the label, which OCM still heeds. To OCM other kinds are no hooks.
fn is_pre_delete(object: &Object) -> bool {
    let marked =
        object.annotation(PRE_DELETE).is_some() || object.label(PRE_DELETE_LABEL).is_some();
    marked && matches!(object.kind(), "Job" | "Pod")
}

/// The Job as it is run: marked, ended by the API server when the rollout's time is over, and kept until it was read.
pub fn job(object: &Object, run: &HookRun, within: Duration) -> Object {
    let mut job = object.clone();
    job.mark("annotations", annotation::OPERATION, &run.0);
    if let Some(spec) = job.0.get_mut("spec").and_then(Value::as_object_mut) {
        let given =
            |spec: &serde_json::Map<String, Value>, field| spec.get(field).and_then(Value::as_u64);
        let most = within.as_secs().max(1);
        let deadline = given(spec, "activeDeadlineSeconds").map_or(most, |own| own.min(most));
        let kept = given(spec, "ttlSecondsAfterFinished").unwrap_or(0).max(KEPT.as_secs());
        spec.insert("activeDeadlineSeconds".to_owned(), json!(deadline));
        spec.insert("ttlSecondsAfterFinished".to_owned(), json!(kept));
    }
    job
}

/// The living Job is this operation's.
pub fn is_of(living: &Object, run: &HookRun) -> bool {
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
    fn a_hook_ends_with_the_rollouts_time_and_stays_until_it_was_read() {
        for (given, deadline, kept) in [
            (json!({}), 900, 86400),
            (json!({"activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": 0}), 60, 86400),
            (
                json!({"activeDeadlineSeconds": 9999, "ttlSecondsAfterFinished": 100_000}),
                900,
                100_000,
            ),
        ] {
            let job = job(&hook("a", given), &run(7), Duration::from_secs(900));
            assert!(is_of(&job, &run(7)) && !is_of(&job, &run(8)));
            assert_eq!(job.0["spec"]["activeDeadlineSeconds"], deadline);
            assert_eq!(job.0["spec"]["ttlSecondsAfterFinished"], kept);
        }
    }
}
