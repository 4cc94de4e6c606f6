//! How far the hooks of one operation are.

use super::*;
use crate::bundle::hook::{HookRun, prepare_job};
use crate::names::annotation;

fn hook(name: &str) -> Object {
    let annotations = json!({annotation::HOOK: "verify"});
    Object(json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "namespace": "n", "annotations": annotations}, "spec": {},
    }))
}

fn run(sequence: u64) -> HookRun {
    HookRun::new(sequence, Timestamp::UNIX_EPOCH)
}

/// Started by the first operation, with a condition of this type.
fn living(name: &str, condition: &str) -> Object {
    let mut job = prepare_job(&hook(name), &run(1), MINUTE);
    job.0["status"] = json!({
        "startTime": "2026-01-01T00:00:00Z",
        "conditions": [{"type": condition, "status": "True", "message": "m"}],
    });
    job
}

#[test]
fn a_failure_decides_then_what_is_not_started_then_what_still_runs() {
    let (a, b) = (hook("a"), hook("b"));
    let both = |first: Option<Object>, second: Option<Object>| {
        assess_hooks([(&a, first), (&b, second)], &run(1))
    };
    let complete = |name| Some(living(name, "Complete"));
    let failed = |name| Some(living(name, "Failed"));
    let running = |name| Some(living(name, "SuccessCriteriaMet"));
    assert_eq!(both(complete("a"), complete("b")), HookStatus::Succeeded);
    assert_eq!(both(None, None), HookStatus::NotStarted("Job n/a".into()));
    assert_eq!(both(complete("a"), None), HookStatus::NotStarted("Job n/b".into()));
    assert_eq!(both(running("a"), None), HookStatus::NotStarted("Job n/b".into()));
    assert_eq!(both(running("a"), complete("b")), HookStatus::Running("Job n/a to end".into()));
    let message = "Job n/b: job failed: m".to_owned();
    assert_eq!(both(None, failed("b")), HookStatus::Failed(message));
    assert_eq!(assess_hooks([], &run(1)), HookStatus::Succeeded);
}

#[test]
fn a_job_of_another_operation_does_not_count() {
    let hook = hook("a");
    let status = assess_hooks([(&hook, Some(living("a", "Failed")))], &run(2));
    assert_eq!(status, HookStatus::NotStarted("Job n/a".into()));
}
