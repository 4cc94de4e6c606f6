//! Passing faults: what is tried again, after which rest, and for how long.

use std::time::Duration;

use lifecycle::plan::waves::Wave;
use lifecycle::{Outcome, Phase, Reason};

use crate::MINUTES;
use crate::scene::Scene;

#[test]
fn a_passing_fault_is_tried_again_after_a_growing_rest() {
    let mut scene = Scene::upgrading(Phase::Pulling);
    for rest in [1, 2, 4, 8, 16, 30, 30] {
        scene = scene.transient(Reason::PullFailed).is(Phase::Pulling).does("-");
        assert_eq!(scene.wake, Some(Duration::from_secs(rest)));
        assert_eq!(scene.message(), "not at the moment");
        scene = scene.rests(rest - 1).does("-").rests(1).does("pull");
    }
    let scene = scene.done().is(Phase::Staging).does("stage");
    assert_eq!(scene.message(), "", "what is over is not told any more");
}

#[test]
fn jitter_shortens_a_rest_to_half_at_most() {
    let mut scene = Scene::upgrading(Phase::Pulling);
    scene.seen.jitter = 0.0;
    assert_eq!(scene.transient(Reason::PullFailed).wake, Some(Duration::from_millis(500)));
}

#[test]
fn a_pull_that_keeps_failing_in_passing_counts_as_refused_by_the_environment() {
    let mut scene = Scene::upgrading(Phase::Pulling);
    for _ in 0..10 {
        scene = scene.transient(Reason::PullFailed).is(Phase::Pulling).rests(30);
    }
    let scene = scene.transient(Reason::PullFailed).is(Phase::Rejected).because(Reason::PullFailed);
    let scene = scene.rests(7 * MINUTES).does("pull").done().is(Phase::Pulling);
    scene.settled().is(Phase::Available).runs("1.5.0", "1.4.0");
}

#[test]
fn a_check_that_the_api_server_cannot_finish_is_refused_after_half_a_minute() {
    let mut scene = Scene::upgrading(Phase::Checking);
    // The tries and the rests between them count alike.
    for _ in 0..3 {
        scene.seen.elapsed = Duration::from_secs(3);
        scene = scene.transient(Reason::CheckFailed).is(Phase::Checking).rests(4);
    }
    scene.seen.elapsed = Duration::from_secs(9);
    let scene =
        scene.transient(Reason::ObjectRefused).is(Phase::Rejected).because(Reason::CheckFailed);
    scene.rests(7 * MINUTES).does("check 1.5.0 from 1.4.0");
}

#[test]
fn applying_is_tried_again_until_the_time_is_over() {
    let scene = Scene::upgrading(Phase::Applying).done().transient(Reason::ApplyFailed);
    let scene = scene.is(Phase::Applying).rests(14 * MINUTES).does("apply 1.5.0: Definitions");
    let scene = scene.transient(Reason::ApplyFailed).is(Phase::Applying).rests(MINUTES);
    let scene = scene.does("apply 1.5.0: Definitions").transient(Reason::ApplyFailed);
    let scene = scene.is(Phase::RollingBack).because(Reason::TimedOut);
    assert_eq!(scene.message(), "not everything was applied in time: not at the moment");
}

#[test]
fn time_alone_does_not_end_an_apply_that_was_interrupted() {
    let scene = Scene::upgrading(Phase::Applying).rests(20 * MINUTES).restart();
    scene.is(Phase::Applying).does("apply 1.5.0: Namespaces");
}

#[test]
fn what_no_phase_waits_for_is_not_done_again_at_once() {
    let mut pending = Scene::new();
    pending.seen.has_finalizer = false;
    let pending = pending.assign("1.4.0").does("hold").transient(Reason::CheckFailed).does("-");
    pending.rests(1).does("hold").done().is(Phase::Pulling);

    let tidying = Scene::upgrading(Phase::Pruning).done().is(Phase::Available);
    let tidying = tidying.does("retain 1.5.0 as current, 1.4.0 as previous");
    let tidying = tidying.transient(Reason::RetainFailed).is(Phase::Available).does("-");
    let tidying = tidying.rests(1).refused(Reason::RetainFailed).does("-").rests(1).does("-");
    tidying.rests(1).does("retain 1.5.0 as current, 1.4.0 as previous").done().does("-");
}

#[test]
fn outcomes_that_nobody_waits_for_change_nothing() {
    let strays = [
        Outcome::FinalizerAdded,
        Outcome::Retained,
        Outcome::FinalizerRemoved,
        Outcome::Removed { leftovers: Vec::new() },
        Outcome::Applied { wave: Wave::Extensions, kept: Vec::new() },
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
fn leftovers_that_cannot_be_pruned_are_told_but_fail_nothing() {
    let scene = Scene::upgrading(Phase::Pruning).left("ConfigMap a/b").is(Phase::Pruning);
    assert_eq!(scene.message(), "waiting for ConfigMap a/b to be gone");
    let scene = scene.never_gone("ConfigMap a/b").is(Phase::Available);
    assert_eq!(scene.message(), "1.5.0 is available; could not be removed: ConfigMap a/b");
    let scene = Scene::upgrading(Phase::Pruning).transient(Reason::ApplyFailed).is(Phase::Pruning);
    scene.rests(2 * MINUTES).transient(Reason::ApplyFailed).is(Phase::Available);
}
