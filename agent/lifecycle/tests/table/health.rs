//! Health while a release is awaited, the soak, and what was not whole before.

use std::time::Duration;

use lifecycle::health::{PreexistingFailure, Verdict};
use lifecycle::{Phase, Reason, RollbackStep};

use crate::scene::Scene;
use crate::scene::words::tolerated;
use crate::{MINUTES, rolling_back};

// Health and soak

#[test]
fn health_is_looked_at_once_a_second() {
    let scene = Scene::upgrading(Phase::Verifying);
    assert_eq!(scene.wake, Some(Duration::ZERO), "at once when it begins");
    for scene in [
        scene.healthy(1),
        rolling_back().until_back(RollbackStep::Verify { healthy_for: None }).healthy(1),
    ] {
        assert_eq!(scene.wake, Some(Duration::from_secs(1)));
    }
}

#[test]
fn a_break_in_health_begins_the_soak_anew() {
    let scene = Scene::upgrading(Phase::Verifying).healthy(30).awaited(1).healthy(30);
    scene.is(Phase::Verifying).healthy(1).is(Phase::Pruning);
}

#[test]
fn a_soak_is_not_over_because_nobody_looked() {
    let scene = Scene::upgrading(Phase::Verifying).awaited(1);
    let mut scene = scene.rests(0);
    // The first look that sees it speaks for no time before, each later one for five seconds.
    for _ in 0..6 {
        scene.seen.verdict = Some(Verdict::Healthy);
        scene = scene.rests(10 * MINUTES).is(Phase::Verifying);
    }
    scene.seen.verdict = Some(Verdict::Healthy);
    scene.rests(10 * MINUTES).is(Phase::Pruning);
}

#[test]
fn an_object_may_say_for_a_moment_that_it_failed() {
    let failed = || Verdict::Failed("crash loop".to_owned());
    let scene = Scene::upgrading(Phase::Verifying).shows(failed(), 9).is(Phase::Verifying);
    let scene = scene.awaited(1).shows(failed(), 9).is(Phase::Verifying).shows(failed(), 1);
    scene.is(Phase::RollingBack).because(Reason::Unhealthy);
}

#[test]
fn what_does_not_become_healthy_in_time_is_rolled_back() {
    let scene = Scene::upgrading(Phase::Verifying).awaited(15 * MINUTES);
    let scene = scene.is(Phase::RollingBack).because(Reason::TimedOut);
    assert_eq!(scene.message(), "not healthy in time: 3 of 5 pods");
}

#[test]
fn what_cannot_be_judged_in_time_is_rolled_back() {
    let scene = Scene::upgrading(Phase::Verifying).unjudged(14 * MINUTES).is(Phase::Verifying);
    scene.unjudged(MINUTES).is(Phase::RollingBack).because(Reason::TimedOut);
}

#[test]
fn time_in_which_nobody_looked_is_not_counted_against_health() {
    let away = |scene: Scene| {
        let mut scene = scene;
        scene.seen.verdict = Some(Verdict::InProgress("a pod".to_owned()));
        scene.rests(60 * MINUTES)
    };
    let scene = away(away(Scene::upgrading(Phase::Verifying))).is(Phase::Verifying);
    assert_eq!(scene.rollout.spent(), Duration::from_secs(10));
    let verify = rolling_back().until_back(RollbackStep::Verify { healthy_for: None });
    away(verify).is(Phase::RollingBack).settled().is(Phase::RolledBack);
}

// What was not whole before

fn ill(name: &str) -> Vec<PreexistingFailure> {
    let key = lifecycle::ObjectKey {
        group: "apps".to_owned(),
        kind: "DaemonSet".to_owned(),
        namespace: Some("n".to_owned()),
        name: name.to_owned(),
    };
    vec![PreexistingFailure { key, missing: 1 }]
}

#[test]
fn how_it_stood_before_is_remembered_from_the_check_to_the_end() {
    let mut scene = Scene::upgrading(Phase::Checking);
    scene.report.preexisting_failures = ill("a");
    let mut scene = scene.done().is(Phase::Applying);
    assert_eq!(scene.rollout.preexisting_failures, ill("a"));
    // A third version in mid-rollout is still measured by what ran before the first write.
    scene.report.preexisting_failures = ill("b");
    let scene = scene.done().assign("1.6.0").until(Phase::Verifying).restart();
    assert_eq!(scene.rollout.preexisting_failures, ill("a"));
    let back = scene.broken().is(Phase::RollingBack);
    assert_eq!(back.rollout.preexisting_failures, ill("a"));
    assert_eq!(back.settled().rollout.preexisting_failures, []);
}

#[test]
fn what_is_no_worse_than_before_is_told_with_the_success() {
    let mut scene = Scene::upgrading(Phase::Checking);
    scene.report.preexisting_failures = ill("a");
    let but = || {
        Verdict::Tolerated(vec![tolerated("DaemonSet n/a", "1 of 2 pods; no worse than before")])
    };
    let scene = scene.until(Phase::Verifying).shows(but(), 30).is(Phase::Verifying);
    let told = "healthy; waiting for the soak to end; but DaemonSet n/a: 1 of 2 pods; no worse than before";
    assert_eq!(scene.message(), told);
    let scene = scene.shows(but(), 1).is(Phase::Pruning).restart().done().is(Phase::Available);
    let told = "1.5.0 is available; but DaemonSet n/a: 1 of 2 pods; no worse than before";
    assert_eq!(scene.message(), told);
    assert_eq!(scene.rollout.preexisting_failures, []);
}
