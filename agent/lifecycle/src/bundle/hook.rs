//! Hooks: Jobs of a release that are run at a moment of a rollout instead of being applied with the rest. A hook is run
//! once an operation; the Job in the cluster carries the operation's mark, so that nothing else has to remember it.

use std::time::Duration;

use serde_json::{Value, json};
use strum::{EnumString, IntoStaticStr};

use crate::health::{HealthStatus, assess};
use crate::ledger::operation::Operation;
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

/// What a run of hooks came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// Some are not begun; the first of them.
    NotBegun(String),
    /// What is awaited.
    NotYet(String),
    Well,
    /// One failed, in its own words.
    Badly(String),
}

/// An operation's mark on what it ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run(String);

impl Run {
    /// A ledger that was rebuilt counts from 1 again, so the time is in it, too.
    pub fn of(operation: &Operation) -> Self {
        Self(format!("{}-{}", operation.sequence, operation.started.as_second()))
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
pub fn job(object: &Object, run: &Run, within: Duration) -> Object {
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
pub fn is_of(living: &Object, run: &Run) -> bool {
    living.annotation(annotation::OPERATION) == Some(&run.0)
}

/// How these hooks stand, each with its living Job: a failure decides, then what is not begun, then what is not done.
pub fn ran<'a>(hooks: impl IntoIterator<Item = (&'a Object, Option<Object>)>, run: &Run) -> Ran {
    let (mut not_begun, mut not_yet) = (None, None);
    for (hook, living) in hooks {
        let key = hook.key();
        let Some(living) = living.filter(|living| is_of(living, run)) else {
            not_begun.get_or_insert(key.to_string());
            continue;
        };
        let health = assess(&living, Duration::ZERO);
        if health.status == HealthStatus::Failed {
            return Ran::Badly(format!("{key}: {}", health.message));
        }
        if !is_complete(&living) {
            not_yet.get_or_insert(format!("{key} to end"));
        }
    }
    match (not_begun, not_yet) {
        (Some(first), _) => Ran::NotBegun(first),
        (None, Some(first)) => Ran::NotYet(first),
        (None, None) => Ran::Well,
    }
}

fn is_complete(living: &Object) -> bool {
    crate::health::is_true(living, "Complete")
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

    fn run(mark: &str) -> Run {
        Run(mark.to_owned())
    }

    /// Begun by the operation `1`, with a condition of this type.
    fn living(name: &str, condition: &str) -> Object {
        let mut job = job(&hook(name, json!({})), &run("1"), Duration::from_secs(60));
        job.0["status"] = json!({
            "startTime": "2026-01-01T00:00:00Z",
            "conditions": [{"type": condition, "status": "True", "message": "m"}],
        });
        job
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
            let job = job(&hook("a", given), &run("7-1"), Duration::from_secs(900));
            assert!(is_of(&job, &run("7-1")) && !is_of(&job, &run("8-1")));
            assert_eq!(job.0["spec"]["activeDeadlineSeconds"], deadline);
            assert_eq!(job.0["spec"]["ttlSecondsAfterFinished"], kept);
        }
    }

    #[test]
    fn a_failure_decides_then_what_is_not_begun_then_what_is_not_done() {
        let (a, b) = (hook("a", json!({})), hook("b", json!({})));
        let both =
            |one: Option<Object>, other: Option<Object>| ran([(&a, one), (&b, other)], &run("1"));
        let (done, failed) =
            (|name| Some(living(name, "Complete")), |name| Some(living(name, "Failed")));
        let runs = |name| Some(living(name, "SuccessCriteriaMet"));
        assert_eq!(both(done("a"), done("b")), Ran::Well);
        assert_eq!(both(None, None), Ran::NotBegun("Job n/a".into()));
        assert_eq!(both(done("a"), None), Ran::NotBegun("Job n/b".into()));
        assert_eq!(both(runs("a"), None), Ran::NotBegun("Job n/b".into()));
        assert_eq!(both(runs("a"), done("b")), Ran::NotYet("Job n/a to end".into()));
        let told = "Job n/b: job failed: m".to_owned();
        assert_eq!(both(None, failed("b")), Ran::Badly(told));
        assert_eq!(ran([], &run("1")), Ran::Well);
        // What an earlier operation ran says nothing about this one.
        assert_eq!(ran([(&a, failed("a"))], &run("2")), Ran::NotBegun("Job n/a".into()));
    }

    #[test]
    fn only_what_is_well_otherwise_is_verified() {
        use crate::health::Verdict;
        let what = || "Job n/a".to_owned();
        let awaited = Verdict::InProgress("a pod".to_owned());
        assert_eq!(awaited.clone().proved_by(Ran::Badly(what())), awaited);
        for (ran, verdict) in [
            (Ran::Well, Verdict::Healthy),
            (Ran::Badly(what()), Verdict::Failed(what())),
            (Ran::NotBegun(what()), Verdict::AwaitingHooks { what: what(), begun: false }),
            (Ran::NotYet(what()), Verdict::AwaitingHooks { what: what(), begun: true }),
        ] {
            assert_eq!(Verdict::Healthy.proved_by(ran), verdict);
        }
    }
}
