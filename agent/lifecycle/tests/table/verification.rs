//! Health after an apply, the soak, and preexisting failures.

use std::time::Duration;

use lifecycle::health::{PreexistingFailure, Verdict};
use lifecycle::{Phase, Reason, RollbackStep};

use crate::scene::Scene;
use crate::scene::words::tolerated;
use crate::{MINUTES, rolling_back};

// Health and soak

#[test]
fn health_is_assessed_once_a_second() {
    let scene = Scene::upgrading(Phase::Verifying);
    assert_eq!(scene.wake, Some(Duration::ZERO), "at once when it begins");
    for scene in [
        scene.healthy(1),
        rolling_back().until_rollback_step(RollbackStep::Verify { healthy_for: None }).healthy(1),
    ] {
        assert_eq!(scene.wake, Some(Duration::from_secs(1)));
    }
}

#[test]
fn a_break_in_health_starts_the_soak_again() {
    let scene = Scene::upgrading(Phase::Verifying).healthy(30).unready(1).healthy(30);
    scene.is(Phase::Verifying).healthy(1).is(Phase::Pruning);
}

#[test]
fn time_without_observations_does_not_end_the_soak() {
    let scene = Scene::upgrading(Phase::Verifying).unready(1);
    let mut scene = scene.waits(0);
    // The first observation of health speaks for no time before it, each later one for five seconds.
    for _ in 0..6 {
        scene.seen.verdict = Some(Verdict::Healthy);
        scene = scene.waits(10 * MINUTES).is(Phase::Verifying);
    }
    scene.seen.verdict = Some(Verdict::Healthy);
    scene.waits(10 * MINUTES).is(Phase::Pruning);
}

#[test]
fn an_object_may_be_failed_for_less_than_ten_seconds() {
    let failed = || Verdict::Failed("crash loop".to_owned());
    let scene = Scene::upgrading(Phase::Verifying).assessed_as(failed(), 9).is(Phase::Verifying);
    let scene =
        scene.unready(1).assessed_as(failed(), 9).is(Phase::Verifying).assessed_as(failed(), 1);
    scene.is(Phase::RollingBack).because(Reason::Unhealthy);
}

#[test]
fn a_release_that_is_not_healthy_in_time_is_rolled_back() {
    let scene = Scene::upgrading(Phase::Verifying).unready(15 * MINUTES);
    let scene = scene.is(Phase::RollingBack).because(Reason::TimedOut);
    assert_eq!(scene.message(), "not healthy in time: 3 of 5 pods");
}

#[test]
fn a_release_of_unknown_health_is_rolled_back_at_the_timeout() {
    let scene = Scene::upgrading(Phase::Verifying).unassessed(14 * MINUTES).is(Phase::Verifying);
    scene.unassessed(MINUTES).is(Phase::RollingBack).because(Reason::TimedOut);
}

#[test]
fn time_without_observations_does_not_count_towards_the_timeout() {
    let away = |scene: Scene| {
        let mut scene = scene;
        scene.seen.verdict = Some(Verdict::InProgress("a pod".to_owned()));
        scene.waits(60 * MINUTES)
    };
    let scene = away(away(Scene::upgrading(Phase::Verifying))).is(Phase::Verifying);
    assert_eq!(scene.rollout.spent(), Duration::from_secs(10));
    let verify = rolling_back().until_rollback_step(RollbackStep::Verify { healthy_for: None });
    away(verify).is(Phase::RollingBack).settled().is(Phase::RolledBack);
}

// Preexisting failures

fn preexisting(name: &str) -> Vec<PreexistingFailure> {
    let key = lifecycle::ObjectKey {
        group: "apps".to_owned(),
        kind: "DaemonSet".to_owned(),
        namespace: Some("n".to_owned()),
        name: name.to_owned(),
    };
    vec![PreexistingFailure { key, missing: 1 }]
}

#[test]
fn preexisting_failures_are_recorded_from_the_check_to_the_end() {
    let mut scene = Scene::upgrading(Phase::Checking);
    scene.check_report.preexisting_failures = preexisting("a");
    let mut scene = scene.done().is(Phase::Applying);
    assert_eq!(scene.rollout.preexisting_failures, preexisting("a"));
    // A third version in mid-rollout is still compared with what ran before the first write.
    scene.check_report.preexisting_failures = preexisting("b");
    let scene = scene.done().assign("1.6.0").until(Phase::Verifying).restart();
    assert_eq!(scene.rollout.preexisting_failures, preexisting("a"));
    let back = scene.failing().is(Phase::RollingBack);
    assert_eq!(back.rollout.preexisting_failures, preexisting("a"));
    assert_eq!(back.settled().rollout.preexisting_failures, []);
}

#[test]
fn tolerated_failures_are_shown_with_the_success() {
    let mut scene = Scene::upgrading(Phase::Checking);
    scene.check_report.preexisting_failures = preexisting("a");
    let but = || {
        Verdict::Tolerated(vec![tolerated("DaemonSet n/a", "1 of 2 pods; no worse than before")])
    };
    let scene = scene.until(Phase::Verifying).assessed_as(but(), 30).is(Phase::Verifying);
    let expected = "healthy; waiting for the soak to end; but DaemonSet n/a: 1 of 2 pods; no worse than before";
    assert_eq!(scene.message(), expected);
    let scene =
        scene.assessed_as(but(), 1).is(Phase::Pruning).restart().done().is(Phase::Available);
    let expected = "1.5.0 is available; but DaemonSet n/a: 1 of 2 pods; no worse than before";
    assert_eq!(scene.message(), expected);
    assert_eq!(scene.rollout.preexisting_failures, []);
}
