//! Jobs: they run once, so the same Job is not run again.

use crate::bundle::hook::Hook;
use crate::kind::KnownKind;
use crate::object::Object;

/// Returns whether the running version has the same Job, which ran with it. If it is gone it does not run again. Hooks do
/// not count: each operation runs its own.
pub fn has_run(job: &Object, running: &[Object]) -> bool {
    let is_same = |other: &Object| {
        Hook::of(other).is_none()
            && other.key() == job.key()
            && other.0.get("spec") == job.0.get("spec")
    };
    job.is(KnownKind::Job) && running.iter().any(is_same)
}

/// Returns whether an object is a Job that `kept` does not have, or has with another pod template. The template of a Job
/// cannot be changed, so with the same template it is the same run, whatever else differs.
pub(super) fn is_other_run(job: &Object, kept: &[Object]) -> bool {
    let template = |job: &Object| job.0.pointer("/spec/template").cloned();
    let is_same = |other: &Object| other.key() == job.key() && template(other) == template(job);
    job.is(KnownKind::Job) && Hook::of(job).is_none() && !kept.iter().any(is_same)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::names::{annotation, label};

    fn object(api_version: &str, kind: &str, spec: Value) -> Object {
        Object(
            json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "j"}, "spec": spec}),
        )
    }

    #[test]
    fn a_job_has_run_when_the_running_version_has_the_same() {
        let job = |spec: Value| object("batch/v1", "Job", spec);
        let mut same = job(json!({"a": 1}));
        same.set_label(label::RELEASE, "older");
        let mut hook = same.clone();
        hook.set_annotation(annotation::HOOK, "pre-upgrade");
        let mut elsewhere = same.clone();
        elsewhere.set_namespace(Some("n"));
        for (running, expected) in
            [(same.clone(), true), (job(json!({"a": 2})), false), (hook, false), (elsewhere, false)]
        {
            let ran = has_run(&job(json!({"a": 1})), std::slice::from_ref(&running));
            assert_eq!(ran, expected, "{running:?}");
        }
        let map = object("v1", "ConfigMap", json!({"a": 1}));
        assert!(!has_run(&map, std::slice::from_ref(&map)), "only Jobs run");
    }
}
