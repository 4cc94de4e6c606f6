//! A rollout that failed: the way back, a first install that has none, and `onFailure: Hold`.

use std::time::Duration;

use lifecycle::plan::waves::Wave;
use lifecycle::{Deletion, OnFailure, Phase, Reason, RollbackStep, Upgrades};

use crate::scene::{Scene, hold};
use crate::{MINUTES, rolling_back};

// Rolling back

#[test]
fn a_broken_upgrade_goes_back_in_order_and_ends_in_rolled_back() {
    let scene = Scene::upgrading(Phase::Verifying).broken().is(Phase::RollingBack);
    let scene =
        scene.shows_operation("Rollback InProgress").conditions("Reconciling Degraded Verified");
    let scene = scene.does("evidence of 1.5.0").done();
    let mut scene = scene.does("prune extensions of 1.5.0, keep 1.4.0").done();
    for stage in Wave::ALL {
        scene = scene.does(&format!("apply 1.4.0 again: {stage:?}")).done();
    }
    let scene = scene.does("-").healthy(31).does("prune of 1.5.0, keep 1.4.0").done();
    let scene = scene.is(Phase::RolledBack).shows_operation("Rollback Succeeded");
    let scene = scene.because(Reason::Unhealthy).runs("1.4.0", "-");
    assert_eq!(scene.message(), "rolled back to 1.4.0: crash loop");
    let scene = scene.conditions("Stalled Degraded Verified").does("retain 1.4.0 as current");
    scene.remembers(&[
        "3 Rollback 1.4.0 Succeeded RollbackSucceeded",
        "2 Upgrade 1.5.0 Failed Unhealthy",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
}

#[test]
fn a_rollback_goes_to_what_last_was_available_not_to_the_one_before() {
    let scene = Scene::upgrading(Phase::Available).settled().runs("1.5.0", "1.4.0").assign("1.6.0");
    let scene = scene.until(Phase::Verifying).broken().done().done();
    let scene = scene.does("apply 1.5.0 again: Namespaces").settled().is(Phase::RolledBack);
    scene.runs("1.5.0", "1.4.0");
}

#[test]
fn a_failed_release_is_not_tried_again_by_itself() {
    let scene = Scene::rolled_back().rests(60 * MINUTES).restart().is(Phase::RolledBack).does("-");
    let scene = scene.policy(|policy| policy.soak = Duration::ZERO).is(Phase::RolledBack);
    scene.kubernetes("1.32.0").is(Phase::RolledBack).does("-");
}

#[test]
fn a_retry_tries_a_failed_release_again() {
    let scene = Scene::rolled_back().retry("1").is(Phase::Pulling);
    let scene = scene.shows_operation("Upgrade InProgress").until(Phase::Verifying).broken();
    scene.until(Phase::RolledBack).settled().is(Phase::RolledBack);
}

#[test]
fn another_assignment_after_a_rollback_begins() {
    let scene = Scene::rolled_back().assign("1.6.0").is(Phase::Pulling);
    let scene =
        scene.settled().runs("1.6.0", "1.4.0").assign("1.5.0").because(Reason::DowngradeNotAllowed);
    scene.is(Phase::Rejected);
}

#[test]
fn the_assignment_may_come_back_to_what_runs_after_a_rollback() {
    let scene = Scene::rolled_back().assign("1.4.0").is(Phase::Available).does("-");
    let scene = scene.shows_operation("Rollback Succeeded").because(Reason::ReturnRequested);
    scene.conditions("Ready Verified").runs("1.4.0", "-");
}

#[test]
fn evidence_is_kept_before_the_first_write_of_the_way_back() {
    let failed = || Scene::upgrading(Phase::Verifying).broken().does("evidence of 1.5.0");
    let evidence = |scene: &Scene, at: usize| scene.rollout.history[at].evidence.clone();
    let scene = failed().restart().does("evidence of 1.5.0").settled().is(Phase::RolledBack);
    assert_eq!(evidence(&scene, 1).as_deref(), Some("evidence-add-on-2"));
    // It holds nothing up: it is tried once.
    let lost = [
        failed().refused(Reason::Forbidden),
        failed().transient(Reason::CheckFailed),
        failed().missing(),
        failed().restart().restart().restart(),
    ];
    for scene in lost {
        let scene = scene.does("prune extensions of 1.5.0, keep 1.4.0").settled();
        assert_eq!(evidence(&scene.is(Phase::RolledBack), 1), None);
    }
}

#[test]
fn evidence_is_kept_of_whatever_failed_after_its_first_write() {
    let evidence = |scene: &Scene| scene.rollout.history[0].evidence.clone();
    let held = Scene::held().settled().is(Phase::Failed);
    assert_eq!(evidence(&held).as_deref(), Some("evidence-add-on-2"));
    let first = Scene::new().assign("1.4.0").until(Phase::Verifying).broken().settled();
    assert_eq!(evidence(&first.is(Phase::Failed)).as_deref(), Some("evidence-add-on-1"));
    let raw = Scene::available("1.4.0").policy(hold).assign("1.5.0").until(Phase::Verifying);
    let ended = raw.broken().does("evidence of 1.5.0").restart().restart().restart().does("-");
    assert_eq!(evidence(&ended.is(Phase::Failed).settled()), None);
    let back = rolling_back().done().missing().does("evidence of 1.4.0").settled();
    assert_eq!(evidence(&back.is(Phase::Failed)).as_deref(), Some("evidence-add-on-3"));
    // What nobody reported as broken leaves none, and a deletion waits for none.
    let asked = Scene::upgrading(Phase::Verifying).assign("1.4.0");
    asked.does("prune extensions of 1.5.0, keep 1.4.0");
    let deleted = Scene::upgrading(Phase::Verifying).broken().delete(Deletion::Uninstall);
    deleted.does("remove 1.4.0 and 1.5.0");
}

#[test]
fn a_running_rollback_finishes_whatever_is_asked_meanwhile() {
    let scene = rolling_back().pause().slot(false).is(Phase::RollingBack);
    let scene = scene.unreadable().policy(hold).done().is(Phase::RollingBack);
    let scene = scene.assign("1.6.0").until(Phase::RolledBack).look().is(Phase::Waiting);
    scene.resume().slot(true).settled().is(Phase::Available).runs("1.6.0", "1.4.0");
}

#[test]
fn what_is_asked_during_a_rollback_is_looked_at_when_it_ends() {
    let scene = rolling_back().assign("1.6.0").until(Phase::RolledBack);
    assert!(scene.action.is_some() || scene.wake == Some(Duration::ZERO));
    scene.settled().is(Phase::Available).runs("1.6.0", "1.4.0");
}

#[test]
fn a_retry_during_a_rollback_tries_again_when_it_ends() {
    let scene = rolling_back().retry("1").is(Phase::RollingBack).until(Phase::RolledBack);
    scene.settled().is(Phase::Available).runs("1.5.0", "1.4.0");
}

#[test]
fn a_retry_before_the_failure_asks_for_nothing_after_it() {
    let scene = Scene::upgrading(Phase::Verifying).retry("1").is(Phase::Verifying).broken();
    scene.until(Phase::RolledBack).settled().is(Phase::RolledBack).retry("2").is(Phase::Pulling);
}

#[test]
fn a_rollback_uses_the_policy_in_force() {
    let scene = rolling_back().until_back(RollbackStep::Verify { healthy_for: None });
    let scene = scene.policy(|policy| policy.soak = Duration::from_secs(3)).healthy(4);
    scene.does("prune of 1.5.0, keep 1.4.0");
}

#[test]
fn a_rollback_that_does_not_succeed_in_time_fails() {
    let stuck = rolling_back().refused(Reason::Forbidden).rests(15 * MINUTES);
    let stuck = stuck.refused(Reason::Forbidden).is(Phase::Failed).because(Reason::RollbackFailed);
    stuck.conditions("Stalled Degraded Verified").shows_operation("Rollback Failed");
    let verify = || rolling_back().until_back(RollbackStep::Verify { healthy_for: None });
    verify().broken().is(Phase::RollingBack).awaited(15 * MINUTES).is(Phase::Failed);
    verify().unjudged(15 * MINUTES).is(Phase::Failed);
}

#[test]
fn a_rollback_whose_release_is_gone_fails() {
    let scene = rolling_back().done().does("apply 1.4.0 again: Namespaces").missing();
    scene.is(Phase::Failed).because(Reason::RollbackFailed);
}

#[test]
fn a_way_back_whose_release_is_gone_is_pulled_when_it_is_what_is_asked() {
    let failed = rolling_back().done().missing().is(Phase::Failed).does("evidence of 1.4.0");
    let mut scene = failed.done().assign("1.4.0");
    scene.seen.retained.retain(|kept| kept.release.version.minor != 4);
    let scene = scene.missing().is(Phase::Failed).because(Reason::RollbackFailed);
    let scene = scene.done().retry("again").is(Phase::Pulling).does("pull").settled();
    scene.is(Phase::Available).runs("1.4.0", "-").does("-");
}

#[test]
fn leftovers_of_a_failed_release_whose_secret_is_gone_do_not_fail_the_rollback() {
    let scene = rolling_back().until_back(RollbackStep::Prune).missing().is(Phase::RolledBack);
    assert!(scene.message().contains("could not be removed"), "{}", scene.message());
}

#[test]
fn a_failed_rollback_is_left_by_retry_return_or_another_version() {
    let failed = || rolling_back().done().missing().settled().is(Phase::Failed);
    failed().rests(60 * MINUTES).is(Phase::Failed);
    failed().retry("1").is(Phase::Checking).settled().runs("1.5.0", "1.4.0");
    failed()
        .assign("1.4.0")
        .is(Phase::RollingBack)
        .settled()
        .is(Phase::Available)
        .runs("1.4.0", "-");
    failed().assign("1.6.0").settled().is(Phase::Available).runs("1.6.0", "1.4.0");
}

// A first install that fails

#[test]
fn a_failed_first_install_removes_what_it_made() {
    let scene =
        Scene::new().assign("1.4.0").until(Phase::Verifying).broken().is(Phase::RollingBack);
    let scene = scene.shows_operation("Install InProgress").does("evidence of 1.4.0").done();
    let scene = scene.does("prune of 1.4.0, keep nothing");
    let scene = scene.done().is(Phase::Failed).shows_operation("Install Failed").runs("-", "-");
    let scene =
        scene.does("retain nothing").settled().remembers(&["1 Install 1.4.0 Failed Unhealthy"]);
    let scene = scene.rests(60 * MINUTES).is(Phase::Failed).retry("1").is(Phase::Pulling);
    scene.shows_operation("Install InProgress").settled().runs("1.4.0", "-");
}

#[test]
fn a_failed_first_install_is_left_by_another_version() {
    let scene = Scene::new().assign("1.4.0").until(Phase::Verifying).broken().until(Phase::Failed);
    scene.assign("1.5.0").shows_operation("Install InProgress").settled().runs("1.5.0", "-");
}

#[test]
fn a_first_install_is_refused_like_any_other() {
    let scene = Scene::new().assign("1.4.0").until(Phase::Checking);
    let scene = scene.refused_for_good(Reason::Forbidden);
    scene.is(Phase::Rejected).shows_operation("Install Failed").runs("-", "-");
}

// onFailure: Hold

#[test]
fn with_hold_a_failed_upgrade_stays_where_it_is() {
    let scene = Scene::held().shows_operation("Upgrade Failed").runs("1.4.0", "-");
    let scene = scene.does("-").settled();
    let scene = scene
        .conditions("Stalled Degraded Verified")
        .policy(|it| it.on_failure = OnFailure::Rollback);
    scene.is(Phase::Failed).rests(60 * MINUTES).is(Phase::Failed).does("-");
}

#[test]
fn what_was_held_is_left_by_retry_return_or_another_version() {
    Scene::held().settled().retry("1").is(Phase::Checking).settled().runs("1.5.0", "1.4.0");
    let back = Scene::held().settled().assign("1.4.0").is(Phase::RollingBack);
    back.does("prune extensions of 1.5.0, keep 1.4.0")
        .settled()
        .is(Phase::Available)
        .runs("1.4.0", "-");
    let on = Scene::held().settled().assign("1.6.0").until(Phase::Pruning);
    let on = on.does("prune of 1.5.0 and 1.6.0 and 1.4.0, keep 1.6.0").settled();
    on.runs("1.6.0", "1.4.0");
}

#[test]
fn a_refused_assignment_after_hold_is_rejected_and_still_degraded() {
    let scene = Scene::held().settled().policy(|policy| policy.upgrades = Upgrades::None);
    let scene = scene.is(Phase::Failed).assign("1.6.0").is(Phase::Rejected);
    let scene = scene.because(Reason::UpgradeNotAllowed).conditions("Stalled Degraded");
    let scene = scene.does("-").assign("1.4.0").settled().is(Phase::Available);
    scene.conditions("Ready Verified").remembers(&[
        "4 Rollback 1.4.0 Succeeded RollbackSucceeded",
        "3 Upgrade 1.6.0 Failed UpgradeNotAllowed",
        "2 Upgrade 1.5.0 Failed Unhealthy",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
}

#[test]
fn the_policy_at_the_time_of_failure_decides() {
    let held = Scene::upgrading(Phase::Verifying).policy(hold).is(Phase::Verifying).broken();
    held.is(Phase::Failed);
    let scene = Scene::available("1.4.0").policy(hold).assign("1.5.0").until(Phase::Verifying);
    scene.policy(|policy| policy.on_failure = OnFailure::Rollback).broken().is(Phase::RollingBack);
}
