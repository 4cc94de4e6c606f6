//! One verdict for all objects of a release.

use super::*;
use crate::redaction::Redaction;

#[test]
fn the_first_failure_decides_for_all() {
    let object =
        Object(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}));
    let combine = |healths: Vec<Health>| {
        Verdict::combine(healths.into_iter().map(|health| (&object, health)))
    };
    let (current, waiting) = (Health::current(), Health::in_progress("w"));
    assert_eq!(combine(vec![]), Verdict::Healthy);
    assert_eq!(combine(vec![current.clone()]), Verdict::Healthy);
    assert_eq!(combine(vec![Health::current_with("old pods")]), Verdict::Healthy);
    assert_eq!(
        combine(vec![current, waiting.clone()]),
        Verdict::InProgress("ConfigMap b: w".into())
    );
    assert_eq!(
        combine(vec![waiting.clone(), waiting.clone()]),
        Verdict::InProgress("ConfigMap b: w (and 1 more)".into())
    );
    assert_eq!(
        combine(vec![waiting, Health::failed("f")]),
        Verdict::Failed("ConfigMap b: f".into())
    );
}

#[test]
fn hooks_count_only_if_everything_else_is_healthy() {
    let job = || "Job n/a".to_owned();
    let waiting = Verdict::InProgress("a pod".to_owned());
    assert_eq!(waiting.clone().with_hooks(HookStatus::Failed(job())), waiting);
    for (hooks, expected) in [
        (HookStatus::Succeeded, Verdict::Healthy),
        (HookStatus::Failed(job()), Verdict::Failed(job())),
        (HookStatus::NotStarted(job()), Verdict::AwaitingHooks { awaited: job(), started: false }),
        (HookStatus::Running(job()), Verdict::AwaitingHooks { awaited: job(), started: true }),
    ] {
        assert_eq!(Verdict::Healthy.with_hooks(hooks), expected);
    }
}

#[test]
fn no_verdict_has_a_value_of_a_secret_of_the_release() {
    let secret = Object(json!({"kind": "Secret", "stringData": {"password": "hunter2hunter2"}}));
    let redaction = Redaction::from_secrets([&secret]);
    let message = || "bad login hunter2hunter2".to_owned();
    let (started, redacted) = (true, "bad login ***".to_owned());
    for (verdict, expected) in [
        (Verdict::Healthy, Verdict::Healthy),
        (Verdict::Tolerated(tolerated(message())), Verdict::Tolerated(tolerated(redacted.clone()))),
        (Verdict::InProgress(message()), Verdict::InProgress(redacted.clone())),
        (Verdict::Failed(message()), Verdict::Failed(redacted.clone())),
        (
            Verdict::AwaitingHooks { awaited: message(), started },
            Verdict::AwaitingHooks { awaited: redacted.clone(), started },
        ),
    ] {
        assert_eq!(verdict.redacted(&redaction), expected);
    }
}

fn tolerated(message: String) -> Vec<ToleratedFailure> {
    let object = Object(json!({"kind": "Deployment", "metadata": {"name": "web"}})).key();
    vec![ToleratedFailure { object, message }]
}
