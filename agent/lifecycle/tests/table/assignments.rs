//! Another assignment in every phase, the same version again, and assignments that cannot be read.

use std::time::Duration;

use lifecycle::{ManagedAddOnStatus, Phase, Policy, Reason, Rollout, Upgrades};

use crate::MINUTES;
use crate::scene::{Scene, hold};

// Another assignment

#[test]
fn before_the_first_write_another_assignment_replaces_the_target() {
    for phase in [Phase::Pulling, Phase::Staging, Phase::Checking] {
        let scene = Scene::upgrading(phase).assign("1.6.0").is(Phase::Pulling);
        let scene = scene.shows_operation("Upgrade InProgress").until(Phase::Pruning);
        let scene = scene.does("prune 1.6.0 and 1.4.0, keep 1.6.0").settled();
        scene.runs("1.6.0", "1.4.0").has_history(&[
            "3 Upgrade 1.6.0 Succeeded UpgradeSucceeded",
            "2 Upgrade 1.5.0 Failed Superseded",
            "1 Install 1.4.0 Succeeded InstallSucceeded",
        ]);
    }
}

#[test]
fn before_the_first_write_a_return_is_done_at_once() {
    for phase in [Phase::Pulling, Phase::Staging, Phase::Checking] {
        let scene = Scene::upgrading(phase).assign("1.4.0").is(Phase::Available).runs("1.4.0", "-");
        scene.has_history(&[
            "3 Rollback 1.4.0 Succeeded ReturnRequested",
            "2 Upgrade 1.5.0 Failed Superseded",
            "1 Install 1.4.0 Succeeded InstallSucceeded",
        ]);
    }
}

#[test]
fn in_mid_rollout_a_third_version_becomes_the_target() {
    for phase in [Phase::Applying, Phase::Verifying, Phase::Pruning] {
        let scene = Scene::upgrading(phase).assign("1.6.0").is(Phase::Pulling).runs("1.4.0", "-");
        let scene = scene.until(Phase::Pruning);
        let scene = scene.does("prune 1.5.0 and 1.6.0 and 1.4.0, keep 1.6.0").settled();
        let scene = scene.runs("1.6.0", "1.4.0");
        assert_eq!(scene.rollout.history[1].reason, "Superseded");
    }
}

#[test]
fn a_failed_third_version_is_rolled_back_to_the_last_available_one() {
    let to_third = || Scene::upgrading(Phase::Applying).assign("1.6.0");
    let scene = to_third().until(Phase::Verifying).failing().is(Phase::RollingBack);
    let scene = scene.does("save evidence of 1.6.0").done();
    let scene = scene.does("prune extensions of 1.5.0 and 1.6.0, keep 1.4.0").settled();
    scene.is(Phase::RolledBack).runs("1.4.0", "-");
    // A rejected third version cannot leave a half-written second one.
    for phase in [Phase::Pulling, Phase::Staging, Phase::Checking] {
        let scene = to_third().until(phase).fails_for_good(Reason::Forbidden);
        scene.is(Phase::RollingBack).settled().is(Phase::RolledBack).because(Reason::Forbidden);
    }
}

#[test]
fn in_mid_rollout_a_return_is_a_rollback() {
    for phase in [Phase::Applying, Phase::Verifying, Phase::Pruning] {
        let scene = Scene::upgrading(phase).assign("1.4.0").is(Phase::RollingBack);
        let scene = scene
            .does("prune extensions of 1.5.0, keep 1.4.0")
            .has_conditions("Reconciling Verified");
        let scene = scene
            .settled()
            .is(Phase::Available)
            .runs("1.4.0", "-")
            .has_conditions("Ready Verified");
        scene.has_history(&[
            "3 Rollback 1.4.0 Succeeded RollbackSucceeded",
            "2 Upgrade 1.5.0 Failed ReturnRequested",
            "1 Install 1.4.0 Succeeded InstallSucceeded",
        ]);
    }
}

#[test]
fn a_return_from_a_third_version_covers_all_touched_releases() {
    for phase in [Phase::Pulling, Phase::Staging, Phase::Checking] {
        let scene = Scene::upgrading(Phase::Applying).assign("1.6.0").until(phase).assign("1.4.0");
        scene.is(Phase::RollingBack).does("prune extensions of 1.5.0, keep 1.4.0");
    }
    let scene = Scene::upgrading(Phase::Applying).assign("1.6.0").until(Phase::Applying);
    scene.assign("1.4.0").does("prune extensions of 1.5.0 and 1.6.0, keep 1.4.0");
}

#[test]
fn in_mid_rollout_an_assignment_that_is_not_admitted_waits_for_the_end() {
    for phase in [Phase::Applying, Phase::Verifying, Phase::Pruning] {
        let minor = |policy: &mut Policy| policy.upgrades = Upgrades::Minor;
        let scene = Scene::available("1.4.0").policy(minor).assign("1.5.0").until(phase);
        let scene = scene.assign("2.0.0").is(phase).until(Phase::Available).runs("1.5.0", "1.4.0");
        scene.settled().is(Phase::Rejected).because(Reason::UpgradeNotAllowed);
    }
}

#[test]
fn during_an_install_another_version_becomes_the_target() {
    let scene = Scene::new().assign("1.4.0").until(Phase::Verifying).assign("1.5.0");
    let scene = scene.shows_operation("Install InProgress").until(Phase::Verifying).failing();
    scene.done().does("prune 1.4.0 and 1.5.0, keep nothing").settled().is(Phase::Failed);
}

#[test]
fn a_retained_release_is_not_pulled() {
    let scene = Scene::upgrading(Phase::Available).settled().assign("1.4.0").is(Phase::Checking);
    scene.does("check 1.4.0 from 1.5.0");
}

#[test]
fn a_change_of_policy_alone_starts_nothing() {
    let scene = Scene::available("1.4.0").policy(hold).is(Phase::Available).does("-");
    let scene = scene.shows_operation("Install Succeeded").assign("1.5.0").until(Phase::Applying);
    let state = scene.rollout.state.clone();
    let scene = scene.policy(|policy| policy.soak = Duration::ZERO);
    assert_eq!(scene.rollout.state, state);
}

// The same version

#[test]
fn the_same_version_with_another_digest_is_rejected() {
    let rebuilt = Scene::available("1.4.0").assign("1.4.0 rebuilt").is(Phase::Rejected);
    rebuilt.because(Reason::DigestChanged).does("-").assign("1.4.0").is(Phase::Available);
    let previous = Scene::upgrading(Phase::Available).settled().assign("1.4.0 rebuilt");
    previous.is(Phase::Rejected).because(Reason::DigestChanged);
    for phase in [Phase::Applying, Phase::Verifying, Phase::Pruning] {
        let under_way = Scene::upgrading(phase).assign("1.5.0 rebuilt").is(phase).settled();
        under_way.is(Phase::Rejected).because(Reason::DigestChanged).runs("1.5.0", "1.4.0");
    }
    Scene::held().settled().assign("1.5.0 rebuilt").because(Reason::DigestChanged);
}

#[test]
fn another_release_of_the_same_version_is_an_upgrade() {
    let scene = Scene::available("1.4.0").assign("1.4.0 moved").is(Phase::Pulling);
    let scene = scene.shows_operation("Upgrade InProgress").settled().runs("1.4.0", "1.4.0");
    scene.shows_operation("Upgrade Succeeded");
}

// Unreadable assignments

#[test]
fn before_the_first_write_an_unreadable_assignment_is_rejected() {
    let waiting = || Scene::available("1.4.0").pause().assign("1.5.0").is(Phase::Waiting);
    let rejected = || Scene::upgrading(Phase::Checking).fails(Reason::ImmutableField);
    for scene in [
        Scene::new(),
        waiting(),
        Scene::upgrading(Phase::Pulling),
        Scene::upgrading(Phase::Staging),
        Scene::upgrading(Phase::Checking),
        rejected(),
        Scene::available("1.4.0"),
        Scene::rolled_back(),
        Scene::held(),
    ] {
        let ran = scene.rollout.current.clone();
        let scene = scene.unreadable().is(Phase::Rejected).because(Reason::InvalidAssignment);
        let scene = scene.settled().waits(60 * MINUTES).is(Phase::Rejected).does("-");
        assert_eq!(scene.rollout.current, ran);
        scene.assign("1.6.0").resume().settled().is(Phase::Available);
    }
}

#[test]
fn from_the_first_write_on_an_unreadable_assignment_waits_for_the_end() {
    for phase in [Phase::Applying, Phase::Verifying, Phase::Pruning] {
        let scene = Scene::upgrading(phase).unreadable().is(phase).until(Phase::Available);
        let scene = scene.runs("1.5.0", "1.4.0").settled().is(Phase::Rejected);
        scene.assign("1.5.0").is(Phase::Available);
    }
    let third = Scene::upgrading(Phase::Applying).assign("1.6.0").is(Phase::Pulling).unreadable();
    third.is(Phase::Pulling).until(Phase::Available).runs("1.6.0", "1.4.0");
    let broken = Scene::upgrading(Phase::Verifying).unreadable().failing().is(Phase::RollingBack);
    broken.settled().is(Phase::Rejected).runs("1.4.0", "-");
}

#[test]
fn an_unreadable_assignment_that_is_corrected_to_the_running_version_is_available() {
    let scene = Scene::available("1.4.0").unreadable_at("1.5.0").is(Phase::Rejected);
    let scene = scene.has_conditions("Stalled").shows_operation("Upgrade Failed");
    let scene = scene.assign("1.4.0").is(Phase::Available);
    scene.has_conditions("Ready Verified").has_history(&[
        "3 Rollback 1.4.0 Succeeded ReturnRequested",
        "2 Upgrade 1.5.0 Failed InvalidAssignment",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
}

#[test]
fn a_return_is_a_rollback_only_from_a_newer_version() {
    let never = |policy: &mut Policy| policy.downgrades = lifecycle::Downgrades::Never;
    for (version, kind) in [
        ("1.6.0", "Rollback"),
        ("1.4.0", "Upgrade"),
        ("1.5.0 rebuilt", "Upgrade"),
        ("1.5.1-rc.1", "Rollback"),
    ] {
        let scene = Scene::available("1.5.0").policy(never).policy(|policy| {
            policy.upgrades = Upgrades::None;
        });
        let scene = scene.assign(version).is(Phase::Rejected).assign("1.5.0").is(Phase::Available);
        scene.shows_operation(&format!("{kind} Succeeded")).because(Reason::ReturnRequested);
    }
}

#[test]
fn an_unreadable_status_is_rebuilt_from_its_ledger() {
    let scene = Scene::available("1.4.0");
    let mut status = serde_json::to_value(&scene.saved).expect("a status");
    status["completionTime"] = "9999-12-31T23:59:59Z".into();
    status["phase"] = "Marvellous".into();
    let read: ManagedAddOnStatus = serde_json::from_value(status).expect("a status");
    let ledger = Rollout::load(&read).expect("a ledger").expect("a ledger");
    assert_eq!(
        (ledger.current.clone(), ledger.phase()),
        (scene.rollout.current.clone(), Phase::Available)
    );
    assert_eq!(read, ManagedAddOnStatus { rollout: read.rollout.clone(), ..Default::default() });
}

#[test]
fn an_unknown_template_is_retried_by_itself() {
    let scene = Scene::available("1.4.0").unassignable(Reason::UnknownTemplate).is(Phase::Rejected);
    let saved = scene.rollout.clone();
    let scene = scene.waits(7 * MINUTES).is(Phase::Rejected);
    assert!(scene.rollout.equals_except_time(&saved));
}
