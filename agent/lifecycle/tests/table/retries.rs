//! Transient faults: what is retried, after which backoff, and for how long.

use std::time::Duration;

use lifecycle::plan::waves::Wave;
use lifecycle::{Outcome, Phase, Reason};

use crate::MINUTES;
use crate::scene::Scene;

#[test]
fn a_transient_fault_is_retried_with_a_growing_backoff() {
    let mut scene = Scene::upgrading(Phase::Pulling);
    for rest in [1, 2, 4, 8, 16, 30, 30] {
        scene = scene.fails_transiently(Reason::PullFailed).is(Phase::Pulling).does("-");
        assert_eq!(scene.wake, Some(Duration::from_secs(rest)));
        assert_eq!(scene.message(), "not at the moment");
        scene = scene.waits(rest - 1).does("-").waits(1).does("pull");
    }
    let scene = scene.done().is(Phase::Staging).does("stage");
    assert_eq!(scene.message(), "", "a fault that is over is no longer shown");
}

#[test]
fn jitter_shortens_a_backoff_to_half_at_most() {
    let mut scene = Scene::upgrading(Phase::Pulling);
    scene.seen.jitter = 0.0;
    assert_eq!(scene.fails_transiently(Reason::PullFailed).wake, Some(Duration::from_millis(500)));
}

#[test]
fn a_pull_with_ten_transient_faults_is_rejected_and_retried_later() {
    let mut scene = Scene::upgrading(Phase::Pulling);
    for _ in 0..10 {
        scene = scene.fails_transiently(Reason::PullFailed).is(Phase::Pulling).waits(30);
    }
    let scene =
        scene.fails_transiently(Reason::PullFailed).is(Phase::Rejected).because(Reason::PullFailed);
    let scene = scene.waits(7 * MINUTES).does("pull").done().is(Phase::Pulling);
    scene.settled().is(Phase::Available).runs("1.5.0", "1.4.0");
}

#[test]
fn a_check_that_stays_inconclusive_for_half_a_minute_is_rejected() {
    let mut scene = Scene::upgrading(Phase::Checking);
    // Attempts and the backoff between them count alike.
    for _ in 0..3 {
        scene.seen.elapsed = Duration::from_secs(3);
        scene = scene.fails_transiently(Reason::CheckFailed).is(Phase::Checking).waits(4);
    }
    scene.seen.elapsed = Duration::from_secs(9);
    let scene = scene
        .fails_transiently(Reason::ObjectRefused)
        .is(Phase::Rejected)
        .because(Reason::CheckFailed);
    scene.waits(7 * MINUTES).does("check 1.5.0 from 1.4.0");
}

#[test]
fn an_apply_is_retried_until_the_timeout() {
    let scene = Scene::upgrading(Phase::Applying).done().fails_transiently(Reason::ApplyFailed);
    let scene = scene.is(Phase::Applying).waits(14 * MINUTES).does("apply 1.5.0: Definitions");
    let scene = scene.fails_transiently(Reason::ApplyFailed).is(Phase::Applying).waits(MINUTES);
    let scene = scene.does("apply 1.5.0: Definitions").fails_transiently(Reason::ApplyFailed);
    let scene = scene.is(Phase::RollingBack).because(Reason::TimedOut);
    assert_eq!(scene.message(), "not everything was applied in time: not at the moment");
}

#[test]
fn time_alone_does_not_end_an_apply_that_was_interrupted() {
    let scene = Scene::upgrading(Phase::Applying).waits(20 * MINUTES).restart();
    scene.is(Phase::Applying).does("apply 1.5.0: Namespaces");
}

#[test]
fn an_action_that_changes_nothing_is_repeated_after_a_backoff() {
    let mut pending = Scene::new();
    pending.seen.has_finalizer = false;
    let pending = pending
        .assign("1.4.0")
        .does("add finalizer")
        .fails_transiently(Reason::CheckFailed)
        .does("-");
    pending.waits(1).does("add finalizer").done().is(Phase::Pulling);

    let tidying = Scene::upgrading(Phase::Pruning).done().is(Phase::Available);
    let tidying = tidying.does("retain 1.5.0 as current, 1.4.0 as previous");
    let tidying = tidying.fails_transiently(Reason::RetainFailed).is(Phase::Available).does("-");
    let tidying = tidying.waits(1).fails(Reason::RetainFailed).does("-").waits(1).does("-");
    tidying.waits(1).does("retain 1.5.0 as current, 1.4.0 as previous").done().does("-");
}

#[test]
fn unexpected_outcomes_change_nothing() {
    let strays = [
        Outcome::FinalizerAdded,
        Outcome::Retained,
        Outcome::FinalizerRemoved,
        Outcome::Removed { leftovers: Vec::new() },
        Outcome::Applied { wave: Wave::Extensions, kept: Vec::new(), refused: Vec::new() },
    ];
    for phase in [Phase::Pulling, Phase::Staging, Phase::Checking, Phase::Applying, Phase::Pruning]
    {
        for stray in &strays {
            let scene = Scene::upgrading(phase);
            let state = scene.rollout.state.clone();
            let scene = scene.ends(Some(stray.clone())).is(phase).does("-");
            assert_eq!(scene.rollout.state, state);
        }
    }
}

#[test]
fn leftovers_of_a_prune_are_reported_and_fail_nothing() {
    let scene = Scene::upgrading(Phase::Pruning).leaves("ConfigMap a/b").is(Phase::Pruning);
    assert_eq!(scene.message(), "waiting for ConfigMap a/b to be gone");
    let scene = scene.never_removes("ConfigMap a/b").is(Phase::Available);
    assert_eq!(scene.message(), "1.5.0 is available; could not be removed: ConfigMap a/b");
    let scene =
        Scene::upgrading(Phase::Pruning).fails_transiently(Reason::ApplyFailed).is(Phase::Pruning);
    scene.waits(2 * MINUTES).fails_transiently(Reason::ApplyFailed).is(Phase::Available);
}
