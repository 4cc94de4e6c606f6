//! Failed rollouts: rollbacks, first installs, which have none, and `onFailure: Hold`.

use std::time::Duration;

use lifecycle::plan::waves::Wave;
use lifecycle::{Deletion, OnFailure, Phase, Reason, RollbackStep, Upgrades};

use crate::scene::{Scene, hold};
use crate::{MINUTES, rolling_back};

// Rolling back

#[test]
fn a_failed_upgrade_is_rolled_back_in_order() {
    let scene = Scene::upgrading(Phase::Verifying).failing().is(Phase::RollingBack);
    let scene = scene
        .shows_operation("Rollback InProgress")
        .has_conditions("Reconciling Degraded Verified");
    let scene = scene.does("save evidence of 1.5.0").done();
    let mut scene = scene.does("prune extensions of 1.5.0, keep 1.4.0").done();
    for stage in Wave::ALL {
        scene = scene.does(&format!("restore 1.4.0: {stage:?}")).done();
    }
    let scene = scene.does("-").healthy(31).does("prune 1.5.0, keep 1.4.0").done();
    let scene = scene.is(Phase::RolledBack).shows_operation("Rollback Succeeded");
    let scene = scene.because(Reason::Unhealthy).runs("1.4.0", "-");
    assert_eq!(scene.message(), "rolled back to 1.4.0: crash loop");
    let scene = scene.has_conditions("Stalled Degraded Verified").does("retain 1.4.0 as current");
    scene.has_history(&[
        "3 Rollback 1.4.0 Succeeded RollbackSucceeded",
        "2 Upgrade 1.5.0 Failed Unhealthy",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
}

#[test]
fn a_rollback_restores_the_last_available_release_not_the_previous_one() {
    let scene = Scene::upgrading(Phase::Available).settled().runs("1.5.0", "1.4.0").assign("1.6.0");
    let scene = scene.until(Phase::Verifying).failing().done().done();
    let scene = scene.does("restore 1.5.0: Namespaces").settled().is(Phase::RolledBack);
    scene.runs("1.5.0", "1.4.0");
}

#[test]
fn a_failed_release_is_not_retried_by_itself() {
    let scene = Scene::rolled_back().waits(60 * MINUTES).restart().is(Phase::RolledBack).does("-");
    let scene = scene.policy(|policy| policy.soak = Duration::ZERO).is(Phase::RolledBack);
    scene.kubernetes("1.32.0").is(Phase::RolledBack).does("-");
}

#[test]
fn a_retry_tries_a_failed_release_again() {
    let scene = Scene::rolled_back().retry("1").is(Phase::Pulling);
    let scene = scene.shows_operation("Upgrade InProgress").until(Phase::Verifying).failing();
    scene.until(Phase::RolledBack).settled().is(Phase::RolledBack);
}

#[test]
fn another_assignment_after_a_rollback_starts() {
    let scene = Scene::rolled_back().assign("1.6.0").is(Phase::Pulling);
    let scene =
        scene.settled().runs("1.6.0", "1.4.0").assign("1.5.0").because(Reason::DowngradeNotAllowed);
    scene.is(Phase::Rejected);
}

#[test]
fn the_assignment_may_return_to_the_running_version_after_a_rollback() {
    let scene = Scene::rolled_back().assign("1.4.0").is(Phase::Available).does("-");
    let scene = scene.shows_operation("Rollback Succeeded").because(Reason::ReturnRequested);
    scene.has_conditions("Ready Verified").runs("1.4.0", "-");
}

#[test]
fn evidence_is_saved_before_the_first_write_of_a_rollback() {
    let failed = || Scene::upgrading(Phase::Verifying).failing().does("save evidence of 1.5.0");
    let evidence = |scene: &Scene, at: usize| scene.rollout.history[at].evidence.clone();
    let scene = failed().restart().does("save evidence of 1.5.0").settled().is(Phase::RolledBack);
    assert_eq!(evidence(&scene, 1).as_deref(), Some("evidence-add-on-2"));
    // It delays nothing: it is tried once.
    let lost = [
        failed().fails(Reason::Forbidden),
        failed().fails_transiently(Reason::CheckFailed),
        failed().missing(),
        failed().restart().restart().restart(),
    ];
    for scene in lost {
        let scene = scene.does("prune extensions of 1.5.0, keep 1.4.0").settled();
        assert_eq!(evidence(&scene.is(Phase::RolledBack), 1), None);
    }
}

#[test]
fn evidence_is_saved_of_every_failure_after_the_first_write() {
    let evidence = |scene: &Scene| scene.rollout.history[0].evidence.clone();
    let held = Scene::held().settled().is(Phase::Failed);
    assert_eq!(evidence(&held).as_deref(), Some("evidence-add-on-2"));
    let first = Scene::new().assign("1.4.0").until(Phase::Verifying).failing().settled();
    assert_eq!(evidence(&first.is(Phase::Failed)).as_deref(), Some("evidence-add-on-1"));
    let raw = Scene::available("1.4.0").policy(hold).assign("1.5.0").until(Phase::Verifying);
    let ended =
        raw.failing().does("save evidence of 1.5.0").restart().restart().restart().does("-");
    assert_eq!(evidence(&ended.is(Phase::Failed).settled()), None);
    let back = rolling_back().done().missing().does("save evidence of 1.4.0").settled();
    assert_eq!(evidence(&back.is(Phase::Failed)).as_deref(), Some("evidence-add-on-3"));
    // A return leaves none, and a deletion waits for none.
    let returned = Scene::upgrading(Phase::Verifying).assign("1.4.0");
    returned.does("prune extensions of 1.5.0, keep 1.4.0");
    let deleted = Scene::upgrading(Phase::Verifying).failing().delete(Deletion::Uninstall);
    deleted.does("remove 1.4.0 and 1.5.0");
}

#[test]
fn a_rollback_is_finished_whatever_is_assigned_meanwhile() {
    let scene = rolling_back().pause().slot(false).is(Phase::RollingBack);
    let scene = scene.unreadable().policy(hold).done().is(Phase::RollingBack);
    let scene = scene.assign("1.6.0").until(Phase::RolledBack).observe().is(Phase::Waiting);
    scene.resume().slot(true).settled().is(Phase::Available).runs("1.6.0", "1.4.0");
}

#[test]
fn an_assignment_during_a_rollback_starts_when_it_ends() {
    let scene = rolling_back().assign("1.6.0").until(Phase::RolledBack);
    assert!(scene.action.is_some() || scene.wake == Some(Duration::ZERO));
    scene.settled().is(Phase::Available).runs("1.6.0", "1.4.0");
}

#[test]
fn a_retry_during_a_rollback_starts_when_it_ends() {
    let scene = rolling_back().retry("1").is(Phase::RollingBack).until(Phase::RolledBack);
    scene.settled().is(Phase::Available).runs("1.5.0", "1.4.0");
}

#[test]
fn a_retry_before_the_failure_requests_nothing_after_it() {
    let scene = Scene::upgrading(Phase::Verifying).retry("1").is(Phase::Verifying).failing();
    scene.until(Phase::RolledBack).settled().is(Phase::RolledBack).retry("2").is(Phase::Pulling);
}

#[test]
fn a_rollback_uses_the_policy_in_force() {
    let scene = rolling_back().until_rollback_step(RollbackStep::Verify { healthy_for: None });
    let scene = scene.policy(|policy| policy.soak = Duration::from_secs(3)).healthy(4);
    scene.does("prune 1.5.0, keep 1.4.0");
}

#[test]
fn a_rollback_that_does_not_succeed_in_time_fails() {
    let stuck = rolling_back().fails(Reason::Forbidden).waits(15 * MINUTES);
    let stuck = stuck.fails(Reason::Forbidden).is(Phase::Failed).because(Reason::RollbackFailed);
    stuck.has_conditions("Stalled Degraded Verified").shows_operation("Rollback Failed");
    let verify = || rolling_back().until_rollback_step(RollbackStep::Verify { healthy_for: None });
    verify().failing().is(Phase::RollingBack).unready(15 * MINUTES).is(Phase::Failed);
    verify().unassessed(15 * MINUTES).is(Phase::Failed);
}

#[test]
fn a_rollback_whose_release_is_gone_fails() {
    let scene = rolling_back().done().does("restore 1.4.0: Namespaces").missing();
    scene.is(Phase::Failed).because(Reason::RollbackFailed);
}

#[test]
fn a_rollback_whose_release_is_gone_pulls_it_if_it_is_assigned() {
    let failed = rolling_back().done().missing().is(Phase::Failed).does("save evidence of 1.4.0");
    let mut scene = failed.done().assign("1.4.0");
    scene.seen.retained.retain(|kept| kept.release.version.minor != 4);
    let scene = scene.missing().is(Phase::Failed).because(Reason::RollbackFailed);
    let scene = scene.done().retry("again").is(Phase::Pulling).does("pull").settled();
    scene.is(Phase::Available).runs("1.4.0", "-").does("-");
}

#[test]
fn leftovers_of_a_failed_release_that_is_not_retained_do_not_fail_the_rollback() {
    let scene =
        rolling_back().until_rollback_step(RollbackStep::Prune).missing().is(Phase::RolledBack);
    assert!(scene.message().contains("could not be removed"), "{}", scene.message());
}

#[test]
fn a_failed_rollback_ends_with_a_retry_a_return_or_another_version() {
    let failed = || rolling_back().done().missing().settled().is(Phase::Failed);
    failed().waits(60 * MINUTES).is(Phase::Failed);
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
fn a_failed_install_is_removed() {
    let scene =
        Scene::new().assign("1.4.0").until(Phase::Verifying).failing().is(Phase::RollingBack);
    let scene = scene.shows_operation("Install InProgress").does("save evidence of 1.4.0").done();
    let scene = scene.does("prune 1.4.0, keep nothing");
    let scene = scene.done().is(Phase::Failed).shows_operation("Install Failed").runs("-", "-");
    let scene =
        scene.does("retain nothing").settled().has_history(&["1 Install 1.4.0 Failed Unhealthy"]);
    let scene = scene.waits(60 * MINUTES).is(Phase::Failed).retry("1").is(Phase::Pulling);
    scene.shows_operation("Install InProgress").settled().runs("1.4.0", "-");
}

#[test]
fn a_failed_install_ends_with_another_version() {
    let scene = Scene::new().assign("1.4.0").until(Phase::Verifying).failing().until(Phase::Failed);
    scene.assign("1.5.0").shows_operation("Install InProgress").settled().runs("1.5.0", "-");
}

#[test]
fn an_install_is_rejected_like_an_upgrade() {
    let scene = Scene::new().assign("1.4.0").until(Phase::Checking);
    let scene = scene.fails_for_good(Reason::Forbidden);
    scene.is(Phase::Rejected).shows_operation("Install Failed").runs("-", "-");
}

// onFailure: Hold

#[test]
fn with_hold_a_failed_upgrade_stays_in_place() {
    let scene = Scene::held().shows_operation("Upgrade Failed").runs("1.4.0", "-");
    let scene = scene.does("-").settled();
    let scene = scene
        .has_conditions("Stalled Degraded Verified")
        .policy(|it| it.on_failure = OnFailure::Rollback);
    scene.is(Phase::Failed).waits(60 * MINUTES).is(Phase::Failed).does("-");
}

#[test]
fn a_held_failure_ends_with_a_retry_a_return_or_another_version() {
    Scene::held().settled().retry("1").is(Phase::Checking).settled().runs("1.5.0", "1.4.0");
    let back = Scene::held().settled().assign("1.4.0").is(Phase::RollingBack);
    back.does("prune extensions of 1.5.0, keep 1.4.0")
        .settled()
        .is(Phase::Available)
        .runs("1.4.0", "-");
    let on = Scene::held().settled().assign("1.6.0").until(Phase::Pruning);
    let on = on.does("prune 1.5.0 and 1.6.0 and 1.4.0, keep 1.6.0").settled();
    on.runs("1.6.0", "1.4.0");
}

#[test]
fn a_rejected_assignment_after_a_held_failure_is_still_degraded() {
    let scene = Scene::held().settled().policy(|policy| policy.upgrades = Upgrades::None);
    let scene = scene.is(Phase::Failed).assign("1.6.0").is(Phase::Rejected);
    let scene = scene.because(Reason::UpgradeNotAllowed).has_conditions("Stalled Degraded");
    let scene = scene.does("-").assign("1.4.0").settled().is(Phase::Available);
    scene.has_conditions("Ready Verified").has_history(&[
        "4 Rollback 1.4.0 Succeeded RollbackSucceeded",
        "3 Upgrade 1.6.0 Failed UpgradeNotAllowed",
        "2 Upgrade 1.5.0 Failed Unhealthy",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
}

#[test]
fn the_policy_at_the_time_of_failure_decides() {
    let held = Scene::upgrading(Phase::Verifying).policy(hold).is(Phase::Verifying).failing();
    held.is(Phase::Failed);
    let scene = Scene::available("1.4.0").policy(hold).assign("1.5.0").until(Phase::Verifying);
    scene.policy(|policy| policy.on_failure = OnFailure::Rollback).failing().is(Phase::RollingBack);
}
