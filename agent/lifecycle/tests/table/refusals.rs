//! What was refused, when it is looked at again, and what leads out of it.

use std::time::Duration;

use lifecycle::{Phase, Reason, RetainedState};

use crate::MINUTES;
use crate::scene::Scene;

#[test]
fn what_the_environment_refuses_is_looked_at_again_and_keeps_its_times() {
    for (phase, again) in [
        (Phase::Pulling, "pull"),
        (Phase::Staging, "stage"),
        (Phase::Checking, "check 1.5.0 from 1.4.0"),
    ] {
        let scene = Scene::upgrading(phase).rests(7).refused_for_good(Reason::Forbidden);
        let mut scene = scene.is(Phase::Rejected);
        let (history, saved) = (scene.rollout.history.clone(), scene.rollout.clone());
        for _ in 0..3 {
            assert_eq!(scene.wake, Some(Duration::from_secs(5 * MINUTES + 75)), "with full jitter");
            scene = scene.rests(6 * MINUTES).does("-").rests(15).does(again);
            scene = scene.refused(Reason::Forbidden).is(Phase::Rejected).does("-");
            assert!(scene.rollout.equals_except_time(&saved), "nothing new, nothing to save");
        }
        assert_eq!(scene.rollout.history, history);
        let scene = scene.rests(7 * MINUTES).done().settled().is(Phase::Available);
        let newest = "2 Upgrade 1.5.0 Succeeded UpgradeSucceeded";
        scene.remembers(&[newest, "1 Install 1.4.0 Succeeded InstallSucceeded"]);
    }
}

#[test]
fn jitter_spreads_the_looks_at_a_refusal() {
    for (jitter, seconds) in [(0.0, 225), (0.5, 300), (1.0, 375)] {
        let mut scene = Scene::upgrading(Phase::Checking);
        scene.seen.jitter = jitter;
        let scene = scene.refused_for_good(Reason::Forbidden);
        assert_eq!(scene.wake, Some(Duration::from_secs(seconds)));
    }
}

#[test]
fn another_refusal_is_told_with_its_own_time() {
    let scene = Scene::upgrading(Phase::Checking).refused_for_good(Reason::Forbidden);
    let first = scene.saved.completion_time.clone();
    let scene = scene.rests(7 * MINUTES).refused(Reason::NamespaceMissing).is(Phase::Rejected);
    assert_ne!(scene.saved.completion_time, first);
    let scene = scene.because(Reason::NamespaceMissing).rests(7 * MINUTES);
    let scene =
        scene.transient(Reason::CheckFailed).is(Phase::Rejected).because(Reason::NamespaceMissing);
    let scene = scene
        .rests(7 * MINUTES)
        .refused(Reason::ImmutableField)
        .conditions("Stalled Verified")
        .settled();
    scene.rests(60 * MINUTES).does("-").is(Phase::Rejected);
}

#[test]
fn what_the_content_refuses_waits_for_another_assignment_or_a_retry() {
    let rejected = || {
        let scene = Scene::upgrading(Phase::Pulling).refused(Reason::DigestMismatch);
        scene.is(Phase::Rejected).shows_operation("Upgrade Failed").settled()
    };
    rejected().rests(60 * MINUTES).is(Phase::Rejected).does("-").restart().does("-");
    rejected().retry("1").is(Phase::Pulling).shows_operation("Upgrade InProgress");
    rejected().policy(|policy| policy.adopt = true).is(Phase::Pulling);
    rejected().assign("1.6.0").settled().runs("1.6.0", "1.4.0");
    rejected().assign("1.4.0").is(Phase::Available).because(Reason::ReturnRequested);
}

#[test]
fn a_release_that_was_lost_while_it_was_refused_is_pulled_again() {
    let scene = Scene::upgrading(Phase::Checking).refused(Reason::Forbidden).rests(7 * MINUTES);
    let scene =
        scene.with(|seen| seen.retained.retain(|kept| kept.state != RetainedState::Candidate));
    scene.missing().is(Phase::Pulling).settled().runs("1.5.0", "1.4.0");
}

#[test]
fn a_refusal_whose_second_look_passes_respects_a_pause() {
    let scene = Scene::upgrading(Phase::Checking).refused(Reason::Forbidden).pause();
    let scene = scene.rests(7 * MINUTES).done().is(Phase::Waiting).does("-");
    scene.resume().is(Phase::Checking).settled().runs("1.5.0", "1.4.0");
}
