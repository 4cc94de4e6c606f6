//! Rejections: when they are retried, and how they end.

use std::time::Duration;

use lifecycle::{Phase, Reason, RetainedState};

use crate::MINUTES;
use crate::scene::Scene;

#[test]
fn a_rejection_by_the_environment_is_retried_and_keeps_its_times() {
    for (phase, again) in [
        (Phase::Pulling, "pull"),
        (Phase::Staging, "stage"),
        (Phase::Checking, "check 1.5.0 from 1.4.0"),
    ] {
        let scene = Scene::upgrading(phase).waits(7).fails_for_good(Reason::Forbidden);
        let mut scene = scene.is(Phase::Rejected);
        let (history, saved) = (scene.rollout.history.clone(), scene.rollout.clone());
        for _ in 0..3 {
            assert_eq!(scene.wake, Some(Duration::from_secs(5 * MINUTES + 75)), "with full jitter");
            scene = scene.waits(6 * MINUTES).does("-").waits(15).does(again);
            scene = scene.fails(Reason::Forbidden).is(Phase::Rejected).does("-");
            assert!(scene.rollout.equals_except_time(&saved), "nothing new, nothing to save");
        }
        assert_eq!(scene.rollout.history, history);
        let scene = scene.waits(7 * MINUTES).done().settled().is(Phase::Available);
        let newest = "2 Upgrade 1.5.0 Succeeded UpgradeSucceeded";
        scene.has_history(&[newest, "1 Install 1.4.0 Succeeded InstallSucceeded"]);
    }
}

#[test]
fn a_retry_out_of_a_rejection_takes_a_slot_first() {
    let scene = Scene::upgrading(Phase::Checking).fails_for_good(Reason::Forbidden).slot(false);
    let scene = scene.waits(7 * MINUTES).is(Phase::Rejected).does("-");
    assert_eq!(scene.wake, Some(Duration::from_secs(30)));
    scene.slot(true).observe().does("check 1.5.0 from 1.4.0");
}

#[test]
fn jitter_spreads_the_retries_of_a_rejection() {
    for (jitter, seconds) in [(0.0, 225), (0.5, 300), (1.0, 375)] {
        let mut scene = Scene::upgrading(Phase::Checking);
        scene.seen.jitter = jitter;
        let scene = scene.fails_for_good(Reason::Forbidden);
        assert_eq!(scene.wake, Some(Duration::from_secs(seconds)));
    }
}

#[test]
fn another_rejection_has_its_own_time() {
    let scene = Scene::upgrading(Phase::Checking).fails_for_good(Reason::Forbidden);
    let first = scene.saved.completion_time.clone();
    let scene = scene.waits(7 * MINUTES).fails(Reason::NamespaceMissing).is(Phase::Rejected);
    assert_ne!(scene.saved.completion_time, first);
    let scene = scene.because(Reason::NamespaceMissing).waits(7 * MINUTES);
    let scene = scene
        .fails_transiently(Reason::CheckFailed)
        .is(Phase::Rejected)
        .because(Reason::NamespaceMissing);
    let scene = scene
        .waits(7 * MINUTES)
        .fails(Reason::ImmutableField)
        .has_conditions("Stalled Verified")
        .settled();
    scene.waits(60 * MINUTES).does("-").is(Phase::Rejected);
}

#[test]
fn a_rejection_of_the_content_waits_for_another_assignment_or_a_retry() {
    let rejected = || {
        let scene = Scene::upgrading(Phase::Pulling).fails(Reason::DigestMismatch);
        scene.is(Phase::Rejected).shows_operation("Upgrade Failed").settled()
    };
    rejected().waits(60 * MINUTES).is(Phase::Rejected).does("-").restart().does("-");
    rejected().retry("1").is(Phase::Pulling).shows_operation("Upgrade InProgress");
    rejected().policy(|policy| policy.adopt = true).is(Phase::Pulling);
    rejected().assign("1.6.0").settled().runs("1.6.0", "1.4.0");
    rejected().assign("1.4.0").is(Phase::Available).because(Reason::ReturnRequested);
}

#[test]
fn a_release_that_was_lost_while_rejected_is_pulled_again() {
    let scene = Scene::upgrading(Phase::Checking).fails(Reason::Forbidden).waits(7 * MINUTES);
    let scene =
        scene.with(|seen| seen.retained.retain(|kept| kept.state != RetainedState::Candidate));
    scene.missing().is(Phase::Pulling).settled().runs("1.5.0", "1.4.0");
}

#[test]
fn a_rejection_whose_retry_passes_respects_a_pause() {
    let scene = Scene::upgrading(Phase::Checking).fails(Reason::Forbidden).pause();
    let scene = scene.waits(7 * MINUTES).done().is(Phase::Waiting).does("-");
    scene.resume().is(Phase::Checking).settled().runs("1.5.0", "1.4.0");
}
