//! Restarts, crash loops, lost ledgers and Secrets, and clocks that jump.

use std::time::Duration;

use lifecycle::health::Verdict;
use lifecycle::plan::waves::Wave;
use lifecycle::{
    Deletion, ManagedAddOnStatus, Phase, Reason, Retained, RetainedState, RollbackStep, Rollout,
};

use crate::scene::words::release;
use crate::scene::{Scene, hold};
use crate::{MINUTES, any_downgrade, rolling_back};

// Restarts and losses

#[test]
fn a_restarted_agent_repeats_the_action() {
    for phase in [Phase::Pulling, Phase::Staging, Phase::Checking, Phase::Applying, Phase::Pruning]
    {
        let scene = Scene::upgrading(phase);
        let action = scene.action_text();
        scene
            .restart()
            .is(phase)
            .does(&action)
            .settled()
            .is(Phase::Available)
            .runs("1.5.0", "1.4.0");
    }
    rolling_back().done().restart().is(Phase::RollingBack).does("restore 1.4.0: Namespaces");
}

// Crash loops

#[test]
fn after_three_crashes_in_a_row_there_is_no_fourth() {
    let forward = [
        (Phase::Pulling, Phase::Rejected),
        (Phase::Staging, Phase::Rejected),
        (Phase::Checking, Phase::Rejected),
        (Phase::Applying, Phase::RollingBack),
        (Phase::Verifying, Phase::RollingBack),
    ];
    for (phase, to) in forward {
        let scene = Scene::upgrading(phase).restart().is(phase).restart().is(phase);
        let scene = scene.restart().is(to).because(Reason::CrashLoop).runs("1.4.0", "-");
        let expected = format!("the agent crashed 3 times in a row while {}", phase.name());
        assert_eq!(scene.message(), expected);
        let scene = scene.settled().waits(60 * MINUTES).does("-");
        scene.retry("again").settled().is(Phase::Available).runs("1.5.0", "1.4.0");
    }
    let scene = Scene::upgrading(Phase::Pruning).restart().restart().restart();
    let scene = scene.is(Phase::Available).runs("1.5.0", "1.4.0");
    assert!(scene.message().contains("could not be removed: the agent crashed 3 times"));
}

#[test]
fn a_rollback_that_crashes_three_times_fails() {
    for far in [RollbackStep::Withdraw, RollbackStep::Apply { wave: Wave::Roles }] {
        let scene =
            rolling_back().until_rollback_step(far).restart().restart().is(Phase::RollingBack);
        let scene = scene.restart().is(Phase::Failed).because(Reason::RollbackFailed);
        // It goes on, at long intervals.
        let scene = scene.does("save evidence of 1.4.0").done().does("-").waits(60 * MINUTES);
        assert!(scene.action.is_some(), "{}", scene.describe());
        scene.retry("again").settled().is(Phase::Available);
    }
    let verifying = rolling_back().until_rollback_step(RollbackStep::Verify { healthy_for: None });
    let verifying = verifying.restart().restart().is(Phase::RollingBack).restart();
    verifying.is(Phase::Failed).because(Reason::RollbackFailed);
    // The old version runs by then.
    let pruning =
        rolling_back().until_rollback_step(RollbackStep::Prune).restart().restart().restart();
    let pruning = pruning.is(Phase::RolledBack).because(Reason::Unhealthy);
    assert!(pruning.message().contains("could not be removed: the agent crashed 3 times"));
}

#[test]
fn any_outcome_or_verdict_ends_a_crash_loop() {
    let scene = Scene::upgrading(Phase::Applying).restart().restart().done();
    let scene =
        scene.restart().restart().is(Phase::Applying).fails_transiently(Reason::ApplyFailed);
    let scene = scene.waits(1).restart().restart().until(Phase::Verifying);
    let scene = scene.restart().restart().healthy(1).restart().restart().is(Phase::Verifying);
    scene.settled().is(Phase::Available).runs("1.5.0", "1.4.0");
}

#[test]
fn another_assignment_ends_a_crash_loop_without_assessing_its_release() {
    let crashed = |phase| {
        let mut scene = Scene::upgrading(phase).restart().restart();
        scene.rollout.retry_state.crashes = 3;
        assert_eq!(scene.rollout.release_under_verification(), None);
        scene.assign("1.6.0")
    };
    for phase in [Phase::Pulling, Phase::Checking, Phase::Applying, Phase::Verifying] {
        crashed(phase).is(Phase::Pulling).settled().is(Phase::Available).runs("1.6.0", "1.4.0");
    }
}

#[test]
fn with_hold_a_crash_loop_stays_in_place() {
    let scene = Scene::available("1.4.0").policy(hold).assign("1.5.0").until(Phase::Applying);
    let scene = scene.restart().restart().restart().is(Phase::Failed);
    scene.because(Reason::CrashLoop).does("save evidence of 1.5.0").done().does("-");
}

#[test]
fn an_uninstall_that_crashes_is_retried_every_five_minutes() {
    let scene = Scene::available("1.4.0").delete(Deletion::Uninstall).does("remove 1.4.0");
    let scene = scene.restart().restart().does("remove 1.4.0").restart().does("-");
    assert_eq!(scene.message(), "the agent crashed 3 times in a row while Removing");
    let scene = scene.waits(4 * MINUTES).does("-").waits(MINUTES).does("remove 1.4.0");
    let scene = scene.restart().does("-").waits(5 * MINUTES).does("remove 1.4.0").settled();
    assert!(scene.gone);
}

#[test]
fn no_crash_is_counted_at_rest() {
    for scene in [Scene::available("1.4.0"), Scene::rolled_back(), Scene::held()] {
        let mut scene = scene;
        for _ in 0..10 {
            scene = scene.restart();
        }
        assert_eq!(scene.rollout.retry_state.crashes, 0);
    }
}

#[test]
fn a_release_that_is_missing_after_a_restart_is_pulled_again() {
    for phase in [Phase::Staging, Phase::Checking, Phase::Applying] {
        let scene = Scene::upgrading(phase).restart().missing().is(Phase::Pulling).does("-");
        let scene = scene.waits(1).does("pull").settled();
        scene.is(Phase::Available).runs("1.5.0", "1.4.0");
    }
}

#[test]
fn a_prune_without_the_old_release_ends_and_without_the_new_one_pulls_it() {
    let scene = Scene::upgrading(Phase::Pruning).missing().is(Phase::Available);
    assert!(scene.message().contains("could not be removed"), "{}", scene.message());
    let mut scene = Scene::upgrading(Phase::Pruning);
    scene.seen.retained.clear();
    scene.missing().is(Phase::Pulling).settled().runs("1.5.0", "1.4.0");
}

#[test]
fn a_lost_ledger_is_rebuilt_without_installing_over_what_runs() {
    let scene = Scene::available("1.4.0").loses_status().is(Phase::Available).does("-");
    let scene = scene.because(Reason::LedgerRebuilt).runs("1.4.0", "-");
    scene.has_history(&["1 Upgrade 1.4.0 Succeeded LedgerRebuilt"]);
    // Another retained release may have been on its way.
    let scene = Scene::upgrading(Phase::Available).settled().loses_status().is(Phase::RollingBack);
    let scene =
        scene.because(Reason::LedgerRebuilt).has_conditions("Reconciling Verified").settled();
    let scene = scene.is(Phase::Available).runs("1.5.0", "1.4.0");
    let scene =
        scene.has_history(&["1 Rollback 1.5.0 Succeeded RollbackSucceeded"]).assign("1.4.0");
    scene.shows_operation("Rollback InProgress").does("check 1.4.0 from 1.5.0");
}

#[test]
fn a_ledger_that_was_lost_in_mid_rollout_still_covers_touched_releases() {
    let lost = || Scene::upgrading(Phase::Verifying).loses_status();
    let scene =
        lost().is(Phase::Checking).shows_operation("Upgrade InProgress").until(Phase::Verifying);
    scene
        .failing()
        .done()
        .does("prune extensions of 1.5.0, keep 1.4.0")
        .settled()
        .runs("1.4.0", "-");
    let back = Scene::upgrading(Phase::Available).settled().policy(any_downgrade).assign("1.4.0");
    let back =
        back.until(Phase::Applying).loses_status().is(Phase::Checking).assign("1.5.0").settled();
    back.is(Phase::Available).runs("1.5.0", "1.4.0");
    let mut scene = lost();
    scene.rollout = Rollout::rebuild(&scene.seen.retained);
    let scene = scene.assign("1.4.0").is(Phase::RollingBack).settled();
    scene.is(Phase::Available).runs("1.4.0", "-");
}

#[test]
fn without_retained_releases_the_rebuilt_ledger_is_empty() {
    assert_eq!(Rollout::rebuild(&[]), Rollout::default());
    let candidate = Retained { release: release("1.4.0"), state: RetainedState::Candidate };
    let rollout = Rollout::rebuild(&[candidate]);
    assert_eq!((rollout.current, rollout.touched), (None, vec![release("1.4.0")]));
}

#[test]
fn a_saved_ledger_is_loaded_with_its_history() {
    let scene = Scene::rolled_back();
    let text = serde_json::to_string(&scene.saved).expect("a status");
    let status: ManagedAddOnStatus = serde_json::from_str(&text).expect("a status");
    assert_eq!(Rollout::load(&status), Ok(Some(scene.rollout)));
}

#[test]
fn a_ledger_of_another_format_is_refused() {
    let mut status = Scene::available("1.4.0").saved;
    assert_eq!(Rollout::load(&ManagedAddOnStatus::default()), Ok(None));
    for (ledger, expected) in [
        (serde_json::json!({"format": 2}), "the ledger's format is 2"),
        (serde_json::json!({}), "the ledger's format is unknown"),
        (serde_json::json!({"format": 1}), "the ledger cannot be read"),
    ] {
        status.rollout = Some(ledger);
        let fault = Rollout::load(&status).expect_err("a refusal");
        assert_eq!(fault.reason, Reason::UnknownLedger);
        assert!(fault.message.starts_with(expected), "{}", fault.message);
    }
}

#[test]
fn spent_time_alone_causes_no_save() {
    let scene = Scene::upgrading(Phase::Verifying).healthy(1);
    let saved = scene.rollout.clone();
    assert!(scene.healthy(20).rollout.equals_except_time(&saved));
    let scene = rolling_back().until_rollback_step(RollbackStep::Verify { healthy_for: None });
    let saved = scene.rollout.clone();
    assert!(scene.healthy(20).rollout.equals_except_time(&saved));
    let scene = Scene::upgrading(Phase::Pulling).fails_transiently(Reason::PullFailed);
    let saved = scene.rollout.clone();
    let scene = scene.waits(1);
    assert!(scene.rollout.equals_except_time(&saved));
    assert!(!scene.fails_transiently(Reason::PullFailed).rollout.equals_except_time(&saved));
}

// Clocks

#[test]
fn no_length_of_time_overflows() {
    let phases = [Phase::Pulling, Phase::Staging, Phase::Checking, Phase::Applying];
    let phases = phases.into_iter().chain([Phase::Verifying, Phase::Pruning, Phase::RollingBack]);
    for phase in phases {
        for verdict in [
            Verdict::Healthy,
            Verdict::InProgress("it".to_owned()),
            Verdict::Failed("it".to_owned()),
        ] {
            let mut scene = if phase == Phase::RollingBack {
                rolling_back().until_rollback_step(RollbackStep::Verify { healthy_for: None })
            } else {
                Scene::upgrading(phase)
            };
            scene.seen.verdict = Some(verdict.clone());
            scene = scene.waits(1);
            (scene.seen.elapsed, scene.seen.verdict) = (Duration::MAX, Some(verdict.clone()));
            scene = scene.observe();
            for _ in 0..3 {
                (scene.seen.elapsed, scene.seen.verdict) = (Duration::MAX, Some(verdict.clone()));
                scene = scene.fails_transiently(Reason::ApplyFailed);
            }
        }
    }
}

#[test]
fn an_operation_never_ends_before_it_began() {
    let mut scene = Scene::upgrading(Phase::Pruning);
    scene.now = "2001-01-01T00:00:00Z".parse().expect("a time");
    let scene = scene.done().is(Phase::Available);
    assert_eq!(scene.saved.completion_time, scene.saved.started_time);
}

#[test]
fn the_history_keeps_twenty_entries_and_the_first_one() {
    let mut scene = Scene::available("1.0.0");
    for minor in 1..=25 {
        scene = scene.assign(&format!("1.{minor}.0")).settled();
    }
    let sequences: Vec<u64> = scene.rollout.history.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, (8..=26).rev().chain([1]).collect::<Vec<_>>());
    assert_eq!(scene.rollout.transitions, 26);
}
