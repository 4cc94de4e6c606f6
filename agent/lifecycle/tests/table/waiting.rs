//! When a rollout may start: pause, slots and maintenance windows.

use lifecycle::health::HookStatus;
use lifecycle::{Deletion, Phase, Reason};

use crate::scene::Scene;
use crate::{MINUTES, SATURDAYS, any_downgrade};

// Pause and slots

#[test]
fn while_paused_nothing_new_starts() {
    for scene in [
        Scene::new().pause().assign("1.6.0"),
        Scene::available("1.4.0").pause().assign("1.6.0"),
        Scene::upgrading(Phase::Pulling).pause().assign("1.6.0"),
        Scene::rolled_back().pause().assign("1.6.0"),
        Scene::held().pause().assign("1.6.0"),
    ] {
        let scene = scene.is(Phase::Waiting).because(Reason::Paused).does("-");
        let scene = scene.waits(60 * MINUTES).restart().is(Phase::Waiting);
        scene.resume().settled().is(Phase::Available);
    }
    Scene::rolled_back().pause().retry("1").is(Phase::Waiting).resume().is(Phase::Pulling);
}

#[test]
fn a_pause_before_the_first_write_holds_the_rollout() {
    let scene = Scene::upgrading(Phase::Checking).pause().is(Phase::Checking).done();
    let scene = scene.is(Phase::Waiting).because(Reason::Paused).resume().is(Phase::Checking);
    let scene = scene.does("check 1.5.0 from 1.4.0").settled().runs("1.5.0", "1.4.0");
    let newest = "2 Upgrade 1.5.0 Succeeded UpgradeSucceeded";
    scene.has_history(&[newest, "1 Install 1.4.0 Succeeded InstallSucceeded"]);
}

#[test]
fn a_rollout_that_is_under_way_is_finished_while_paused() {
    for phase in [Phase::Applying, Phase::Verifying, Phase::Pruning] {
        let scene = Scene::upgrading(phase).pause().is(phase).assign("1.6.0").is(phase);
        let scene =
            scene.until(Phase::Available).runs("1.5.0", "1.4.0").observe().is(Phase::Waiting);
        scene.resume().settled().runs("1.6.0", "1.5.0");
    }
    Scene::upgrading(Phase::Verifying).pause().failing().settled().is(Phase::RolledBack);
    Scene::upgrading(Phase::Verifying).pause().assign("1.4.0").is(Phase::RollingBack);
}

#[test]
fn a_pause_does_not_hold_a_release_that_is_half_written() {
    let scene = Scene::upgrading(Phase::Applying).assign("1.6.0").until(Phase::Checking).pause();
    scene.done().is(Phase::Applying).does("apply 1.6.0: Namespaces");
}

#[test]
fn rollouts_wait_for_a_free_slot() {
    let scene = Scene::available("1.4.0").slot(false).assign("1.5.0").is(Phase::Waiting);
    let scene = scene.because(Reason::Queued).does("-");
    scene.slot(true).is(Phase::Pulling).until(Phase::Applying).slot(false).until(Phase::Available);
}

#[test]
fn a_waiting_operation_ends_when_the_assignment_returns() {
    let scene = Scene::available("1.4.0").pause().assign("1.5.0").is(Phase::Waiting);
    assert_eq!(scene.rollout.operation.as_ref().map(|operation| operation.completed), Some(None));
    let scene = scene.assign("1.4.0").is(Phase::Available).because(Reason::ReturnRequested);
    scene.has_history(&[
        "3 Rollback 1.4.0 Succeeded ReturnRequested",
        "2 Upgrade 1.5.0 Failed Superseded",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
}

#[test]
fn a_waiting_operation_ends_when_another_version_replaces_it() {
    let waiting_upgrade = || Scene::upgrading(Phase::Checking).pause().done().is(Phase::Waiting);
    let superseded = "2 Upgrade 1.5.0 Failed Superseded";
    let first = "1 Install 1.4.0 Succeeded InstallSucceeded";
    let newest = "3 Rollback 1.4.0 Succeeded ReturnRequested";
    waiting_upgrade()
        .assign("1.4.0")
        .is(Phase::Available)
        .has_history(&[newest, superseded, first]);
    let newest = "3 Upgrade 1.6.0 Succeeded UpgradeSucceeded";
    waiting_upgrade().assign("1.6.0").resume().settled().has_history(&[newest, superseded, first]);
    let newest = "3 Upgrade 1.7.0 Failed InvalidAssignment";
    waiting_upgrade().unreadable_at("1.7.0").has_history(&[newest, superseded, first]);
}

// Maintenance windows

#[test]
fn outside_every_window_nothing_new_starts_and_the_next_window_is_shown() {
    for scene in [
        Scene::new().windows(&[SATURDAYS]).assign("1.6.0"),
        Scene::available("1.4.0").windows(&[SATURDAYS]).assign("1.6.0"),
        Scene::available("1.4.0").policy(any_downgrade).windows(&[SATURDAYS]).assign("1.3.0"),
        Scene::upgrading(Phase::Pulling).windows(&[SATURDAYS]).assign("1.6.0"),
        Scene::rolled_back().windows(&[SATURDAYS]).assign("1.6.0"),
        Scene::rolled_back().windows(&[SATURDAYS]).retry("1"),
        Scene::held().windows(&[SATURDAYS]).assign("1.6.0"),
    ] {
        let scene = scene.is(Phase::Waiting).because(Reason::OutsideWindow).does("-");
        assert_eq!(
            scene.message(),
            "outside every maintenance window; the next opens at 2026-03-07T01:00:00Z (Saturday, \
             2026-03-07 02:00 in Europe/Berlin)"
        );
        let scene = scene.restart().is(Phase::Waiting);
        let scene = scene.at("2026-03-07T00:59:59Z").is(Phase::Waiting).does("-");
        let scene = scene.at("2026-03-07T01:00:00Z").is(Phase::Pulling).does("pull");
        scene.settled().is(Phase::Available);
    }
}

#[test]
fn a_rollout_that_waits_for_a_window_wakes_exactly_when_it_opens() {
    let wakes = |scene: &Scene| scene.wake.map(|wake| wake.as_secs());
    let scene = Scene::available("1.4.0").windows(&[SATURDAYS]).assign("1.5.0").observe();
    assert_eq!(wakes(&scene), Some(60 * MINUTES), "clocks are set, and machines sleep");
    let scene = scene.at("2026-03-07T00:12:34Z").is(Phase::Waiting);
    assert_eq!(wakes(&scene), Some(47 * MINUTES + 26));
    let wake = scene.wake.expect("a time");
    scene.wait(wake).is(Phase::Pulling).does("pull");
}

#[test]
fn a_rollout_starts_in_a_window_and_is_finished_after_it() {
    let scene = Scene::available("1.4.0").windows(&[SATURDAYS]).at("2026-03-07T04:59:59Z");
    let scene = scene.assign("1.5.0").is(Phase::Pulling).until(Phase::Applying);
    let scene = scene.at("2026-03-07T05:00:00Z").is(Phase::Applying).until(Phase::Verifying);
    let broken = scene.clone().failing().is(Phase::RollingBack);
    broken.at("2026-03-08T05:00:00Z").settled().is(Phase::RolledBack).runs("1.4.0", "-");
    scene.clone().assign("1.4.0").is(Phase::RollingBack).settled().is(Phase::Available);
    // A third version is something new.
    let third = scene.assign("1.6.0").is(Phase::Verifying).until(Phase::Available).observe();
    let third = third.is(Phase::Waiting).because(Reason::OutsideWindow).runs("1.5.0", "1.4.0");
    third.at("2026-03-14T01:00:00Z").settled().runs("1.6.0", "1.5.0");
}

#[test]
fn the_first_write_has_to_be_in_a_window() {
    let closing = |scene: Scene| {
        let scene = scene.windows(&[SATURDAYS]).at("2026-03-07T04:59:59Z").assign("1.5.0");
        scene.until(Phase::Checking)
    };
    let scene = closing(Scene::available("1.4.0")).waits(1).is(Phase::Checking).done();
    let scene = scene.is(Phase::Waiting).because(Reason::OutsideWindow);
    let scene = scene.at("2026-03-14T01:00:00Z").does("check 1.5.0 from 1.4.0").done();
    scene.is(Phase::Applying);
    // Otherwise the pre-upgrade hooks would have to run again.
    let scene = closing(Scene::available("1.4.0").with_hooks()).done();
    let scene = scene.does("hook 1.5.0: pre-upgrade").waits(1).reports_hooks(HookStatus::Succeeded);
    scene.is(Phase::Applying);
    // A half-written release is not left so.
    let scene = closing(Scene::available("1.4.0")).until(Phase::Applying).assign("1.6.0");
    scene.until(Phase::Checking).waits(1).done().is(Phase::Applying);
    // The window in which one version was prepared does not count for the next one.
    let scene = Scene::held().with_hooks().windows(&[SATURDAYS]).at("2026-03-07T04:59:59Z");
    let scene = scene.assign("1.6.0").until(Phase::Checking).done().does("hook 1.6.0: pre-upgrade");
    scene.waits(1).assign("1.7.0").does("hook 1.6.0: pre-upgrade");
}

#[test]
fn windows_can_be_ignored_for_a_version_or_removed_from_the_policy() {
    let waiting = || Scene::available("1.4.0").windows(&[SATURDAYS]).assign("1.5.0");
    waiting().with(|seen| seen.ignores_windows = true).is(Phase::Pulling).until(Phase::Applying);
    waiting().windows(&[]).is(Phase::Pulling);
    waiting().windows(&[SATURDAYS, ["0 12 * * *", "1h", "UTC"]]).is(Phase::Pulling);
}

#[test]
fn windows_hold_neither_the_running_version_nor_its_uninstall() {
    let waiting = || Scene::available("1.4.0").windows(&[SATURDAYS]).assign("1.5.0");
    waiting().assign("1.4.0").is(Phase::Available);
    waiting().delete(Deletion::Uninstall).is(Phase::Removing).settled();
    let scene = Scene::available("1.4.0").windows(&[SATURDAYS]).is(Phase::Available);
    let lost = scene.with(|seen| seen.retained.clear()).is(Phase::Pulling);
    lost.settled().is(Phase::Available).runs("1.4.0", "-");
    // A pause is reported first, and a slot is awaited in the window.
    waiting().pause().because(Reason::Paused).resume().because(Reason::OutsideWindow);
    let queued = waiting().slot(false).because(Reason::OutsideWindow);
    queued.at("2026-03-07T01:00:00Z").because(Reason::Queued).slot(true).is(Phase::Pulling);
}
