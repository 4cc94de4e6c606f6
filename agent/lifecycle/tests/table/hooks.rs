//! Hooks: Jobs that run at one moment of a rollout.

use lifecycle::health::HookStatus;
use lifecycle::health::Verdict;
use lifecycle::{Phase, Reason};

use crate::scene::Scene;
use crate::{MINUTES, rolling_back};

fn awaiting_hooks(started: bool) -> Verdict {
    Verdict::AwaitingHooks { awaited: "Job a/smoke".to_owned(), started }
}

#[test]
fn verify_hooks_run_when_everything_is_healthy_and_before_the_soak() {
    let scene =
        Scene::upgrading(Phase::Verifying).healthy(30).assessed_as(awaiting_hooks(false), 1);
    let scene =
        scene.does("hook 1.5.0: verify").reports_hooks(HookStatus::Running("Job a/smoke".into()));
    let scene = scene.is(Phase::Verifying).assessed_as(awaiting_hooks(true), 60).does("-");
    assert_eq!(scene.message(), "healthy; verifying: waiting for Job a/smoke");
    scene.is(Phase::Verifying).healthy(1).is(Phase::Pruning);
}

#[test]
fn a_failed_verify_hook_fails_the_rollout_and_an_endless_one_times_out() {
    let scene = Scene::upgrading(Phase::Verifying).assessed_as(awaiting_hooks(false), 1).done();
    scene.failing().is(Phase::RollingBack).because(Reason::Unhealthy);
    let scene = Scene::upgrading(Phase::Verifying).assessed_as(awaiting_hooks(true), 15 * MINUTES);
    let scene = scene.is(Phase::RollingBack).because(Reason::TimedOut);
    assert_eq!(scene.message(), "not verified in time: Job a/smoke");
    let scene = Scene::upgrading(Phase::Verifying).assessed_as(awaiting_hooks(false), 1);
    let scene = scene.does("hook 1.5.0: verify").fails(Reason::Forbidden);
    scene.is(Phase::RollingBack).because(Reason::Forbidden);
}

#[test]
fn pre_upgrade_hooks_run_between_the_check_and_the_first_write() {
    let scene = Scene::upgrading(Phase::Checking).with_hooks().done().is(Phase::Checking);
    let scene = scene
        .does("hook 1.5.0: pre-upgrade")
        .reports_hooks(HookStatus::Running("Job a/dump".into()));
    assert_eq!(scene.message(), "waiting for Job a/dump");
    let scene = scene.waits(1).does("hook 1.5.0: pre-upgrade").restart().waits(1);
    let scene = scene.does("hook 1.5.0: pre-upgrade").done().is(Phase::Applying);
    scene.does("apply 1.5.0: Namespaces");
}

#[test]
fn a_failed_pre_upgrade_hook_rejects_the_upgrade() {
    let preparing = || Scene::upgrading(Phase::Checking).with_hooks().done();
    let scene = preparing().reports_hooks(HookStatus::Failed("Job a/dump: no room".into()));
    let scene = scene.is(Phase::Rejected).because(Reason::HookFailed).runs("1.4.0", "-");
    assert_eq!(scene.message(), "a pre-upgrade hook failed: Job a/dump: no room");
    assert_eq!(scene.rollout.touched, []);
    let scene = scene.restart().does("save evidence of 1.5.0").done().is(Phase::Rejected);
    let kept = scene.rollout.history[0].evidence.clone();
    assert_eq!(kept.as_deref(), Some("evidence-add-on-2"));
    let scene = scene.does("retain 1.4.0 as current").done().waits(60 * MINUTES).does("-");
    scene.retry("1").is(Phase::Pulling);
    // Evidence is tried once.
    let lost =
        preparing().reports_hooks(HookStatus::Failed("Job a/dump".into())).fails(Reason::Forbidden);
    let lost = lost.is(Phase::Rejected).because(Reason::HookFailed).does("retain 1.4.0 as current");
    assert_eq!(lost.rollout.history[0].evidence, None);

    let mut scene = preparing();
    while scene.rollout.phase() == Phase::Checking {
        let waits = HookStatus::Running("Job a/dump to end".into());
        scene = if scene.action.is_some() { scene.reports_hooks(waits) } else { scene.waits(30) };
    }
    let scene =
        scene.is(Phase::Rejected).because(Reason::HookFailed).does("save evidence of 1.5.0");
    assert!(scene.message().contains("did not end in time"), "{}", scene.message());
}

#[test]
fn neither_an_install_nor_a_rollback_runs_pre_upgrade_hooks() {
    Scene::new().with_hooks().assign("1.4.0").until(Phase::Checking).done().is(Phase::Applying);
    let scene = Scene::upgrading(Phase::Available).settled().with_hooks().assign("1.4.0");
    let scene = scene.until(Phase::Checking).done().is(Phase::Applying);
    // Nor do its verify hooks run again.
    let scene = scene.until(Phase::Verifying).assessed_as(awaiting_hooks(false), 1).does("-");
    assert!(scene.rollout.verify_run().is_none());
    assert!(rolling_back().rollout.verify_run().is_none());
    assert!(Scene::upgrading(Phase::Verifying).rollout.verify_run().is_some());
}

#[test]
fn a_pause_holds_pre_upgrade_hooks_and_another_version_replaces_them() {
    let scene = Scene::upgrading(Phase::Checking).with_hooks().pause().done();
    scene.is(Phase::Waiting).because(Reason::Paused);
    let scene = Scene::upgrading(Phase::Checking).with_hooks().done().assign("1.6.0");
    scene.is(Phase::Pulling).does("pull");
    let scene = Scene::upgrading(Phase::Checking).with_hooks().done().assign("1.4.0");
    scene.is(Phase::Available).runs("1.4.0", "-");
}

/// A half-written release cannot stay: the third version was to replace it.
#[test]
fn a_failed_pre_upgrade_hook_in_mid_rollout_causes_a_rollback() {
    let scene = Scene::upgrading(Phase::Applying).done().with_hooks().assign("1.6.0");
    let scene = scene.until(Phase::Checking).done().does("hook 1.6.0: pre-upgrade");
    scene.reports_hooks(HookStatus::Failed("Job a/dump".into())).is(Phase::RollingBack);
}
