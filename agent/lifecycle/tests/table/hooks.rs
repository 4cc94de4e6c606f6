//! Jobs that are run at a moment of a rollout.

use lifecycle::health::HookStatus;
use lifecycle::health::Verdict;
use lifecycle::{Phase, Reason};

use crate::scene::Scene;
use crate::{MINUTES, rolling_back};

fn unproved(started: bool) -> Verdict {
    Verdict::AwaitingHooks { awaited: "Job a/smoke".to_owned(), started }
}

#[test]
fn what_verifies_runs_once_all_is_healthy_and_the_soak_comes_after() {
    let scene = Scene::upgrading(Phase::Verifying).healthy(30).shows(unproved(false), 1);
    let scene = scene.does("hook 1.5.0: verify").hooked(HookStatus::Running("Job a/smoke".into()));
    let scene = scene.is(Phase::Verifying).shows(unproved(true), 60).does("-");
    assert_eq!(scene.message(), "healthy; verifying: waiting for Job a/smoke");
    scene.is(Phase::Verifying).healthy(1).is(Phase::Pruning);
}

#[test]
fn a_failed_verification_fails_the_rollout_and_one_without_end_times_out() {
    let scene = Scene::upgrading(Phase::Verifying).shows(unproved(false), 1).done();
    scene.broken().is(Phase::RollingBack).because(Reason::Unhealthy);
    let scene = Scene::upgrading(Phase::Verifying).shows(unproved(true), 15 * MINUTES);
    let scene = scene.is(Phase::RollingBack).because(Reason::TimedOut);
    assert_eq!(scene.message(), "not verified in time: Job a/smoke");
    let scene = Scene::upgrading(Phase::Verifying).shows(unproved(false), 1);
    let scene = scene.does("hook 1.5.0: verify").refused(Reason::Forbidden);
    scene.is(Phase::RollingBack).because(Reason::Forbidden);
}

#[test]
fn what_prepares_an_upgrade_runs_between_check_and_first_write() {
    let scene = Scene::upgrading(Phase::Checking).with_hooks().done().is(Phase::Checking);
    let scene =
        scene.does("hook 1.5.0: pre-upgrade").hooked(HookStatus::Running("Job a/dump".into()));
    assert_eq!(scene.message(), "waiting for Job a/dump");
    let scene = scene.rests(1).does("hook 1.5.0: pre-upgrade").restart().rests(1);
    let scene = scene.does("hook 1.5.0: pre-upgrade").done().is(Phase::Applying);
    scene.does("apply 1.5.0: Namespaces");
}

#[test]
fn a_failed_preparation_refuses_the_upgrade_before_its_first_write() {
    let preparing = || Scene::upgrading(Phase::Checking).with_hooks().done();
    let scene = preparing().hooked(HookStatus::Failed("Job a/dump: no room".into()));
    let scene = scene.is(Phase::Rejected).because(Reason::HookFailed).runs("1.4.0", "-");
    assert_eq!(scene.message(), "a pre-upgrade hook failed: Job a/dump: no room");
    assert_eq!(scene.rollout.touched, []);
    let scene = scene.restart().does("evidence of 1.5.0").done().is(Phase::Rejected);
    let kept = scene.rollout.history[0].evidence.clone();
    assert_eq!(kept.as_deref(), Some("evidence-add-on-2"));
    let scene = scene.does("retain 1.4.0 as current").done().rests(60 * MINUTES).does("-");
    scene.retry("1").is(Phase::Pulling);
    // It is tried once.
    let lost =
        preparing().hooked(HookStatus::Failed("Job a/dump".into())).refused(Reason::Forbidden);
    let lost = lost.is(Phase::Rejected).because(Reason::HookFailed).does("retain 1.4.0 as current");
    assert_eq!(lost.rollout.history[0].evidence, None);

    let mut scene = preparing();
    while scene.rollout.phase() == Phase::Checking {
        let waits = HookStatus::Running("Job a/dump to end".into());
        scene = if scene.action.is_some() { scene.hooked(waits) } else { scene.rests(30) };
    }
    let scene = scene.is(Phase::Rejected).because(Reason::HookFailed).does("evidence of 1.5.0");
    assert!(scene.message().contains("did not end in time"), "{}", scene.message());
}

#[test]
fn neither_an_install_nor_a_way_back_runs_what_prepares_an_upgrade() {
    Scene::new().with_hooks().assign("1.4.0").until(Phase::Checking).done().is(Phase::Applying);
    let scene = Scene::upgrading(Phase::Available).settled().with_hooks().assign("1.4.0");
    let scene = scene.until(Phase::Checking).done().is(Phase::Applying);
    // Nor is it verified again.
    let scene = scene.until(Phase::Verifying).shows(unproved(false), 1).does("-");
    assert!(scene.rollout.verify_run().is_none());
    assert!(rolling_back().rollout.verify_run().is_none());
    assert!(Scene::upgrading(Phase::Verifying).rollout.verify_run().is_some());
}

#[test]
fn a_preparation_can_be_paused_before_and_replaced_while_it_runs() {
    let scene = Scene::upgrading(Phase::Checking).with_hooks().pause().done();
    scene.is(Phase::Waiting).because(Reason::Paused);
    let scene = Scene::upgrading(Phase::Checking).with_hooks().done().assign("1.6.0");
    scene.is(Phase::Pulling).does("pull");
    let scene = Scene::upgrading(Phase::Checking).with_hooks().done().assign("1.4.0");
    scene.is(Phase::Available).runs("1.4.0", "-");
}

/// What is half there cannot stay: the third version was to take its place.
#[test]
fn a_failed_preparation_in_mid_rollout_goes_back() {
    let scene = Scene::upgrading(Phase::Applying).done().with_hooks().assign("1.6.0");
    let scene = scene.until(Phase::Checking).done().does("hook 1.6.0: pre-upgrade");
    scene.hooked(HookStatus::Failed("Job a/dump".into())).is(Phase::RollingBack);
}
