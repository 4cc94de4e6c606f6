//! Every arrow forward, every fault, and what an operation shows from its beginning to its end.

use lifecycle::plan::waves::Wave;
use lifecycle::{Phase, Reason};

use crate::rolling_back;
use crate::scene::Scene;

#[test]
fn every_phase_leads_to_the_next_one() {
    type Turn = fn(Scene) -> Scene;
    let done: Turn = |scene| scene.done();
    let soaked: Turn = |scene| scene.healthy(31);
    let applied: Turn = |scene| Wave::ALL.iter().fold(scene, |scene, _| scene.done());
    let rows: [(Phase, Turn, Phase, &str); 6] = [
        (Phase::Pulling, done, Phase::Staging, "stage"),
        (Phase::Staging, done, Phase::Checking, "check 1.5.0 from 1.4.0"),
        (Phase::Checking, done, Phase::Applying, "apply 1.5.0: Namespaces"),
        (Phase::Applying, applied, Phase::Verifying, "-"),
        (Phase::Verifying, soaked, Phase::Pruning, "prune 1.5.0 and 1.4.0, keep 1.5.0"),
        (Phase::Pruning, done, Phase::Available, "retain 1.5.0 as current, 1.4.0 as previous"),
    ];
    for (from, turn, to, action) in rows {
        turn(Scene::upgrading(from)).is(to).does(action);
    }
}

#[test]
fn nothing_starts_before_the_finalizer_is_added() {
    let mut scene = Scene::new();
    scene.seen.has_finalizer = false;
    let scene = scene.assign("1.4.0").is(Phase::Pending).does("add finalizer");
    scene.done().is(Phase::Pulling).does("pull");
}

#[test]
fn waves_are_applied_in_order() {
    let mut scene = Scene::upgrading(Phase::Applying);
    for stage in Wave::ALL {
        scene = scene.does(&format!("apply 1.5.0: {stage:?}")).done();
    }
    scene.is(Phase::Verifying).does("-");
}

#[test]
fn a_fault_in_each_phase_leads_where_the_diagram_shows() {
    for (phase, reason, to) in [
        (Phase::Pulling, Reason::DigestMismatch, Phase::Rejected),
        (Phase::Pulling, Reason::PullFailed, Phase::Rejected),
        (Phase::Staging, Reason::InvalidBundle, Phase::Rejected),
        (Phase::Staging, Reason::RetainFailed, Phase::Rejected),
        (Phase::Checking, Reason::Forbidden, Phase::Rejected),
        (Phase::Checking, Reason::ImmutableField, Phase::Rejected),
        (Phase::Applying, Reason::ApplyFailed, Phase::RollingBack),
        (Phase::Pruning, Reason::Forbidden, Phase::Pruning),
        (Phase::RollingBack, Reason::Forbidden, Phase::RollingBack),
    ] {
        let scene =
            if phase == Phase::RollingBack { rolling_back() } else { Scene::upgrading(phase) };
        if to == phase { scene.fails(reason) } else { scene.fails_for_good(reason) }.is(to);
    }
}

/// What is given up is never removed, and a single fault may pass.
#[test]
fn a_forbidden_removal_is_retried_for_about_a_minute() {
    let mut scene = Scene::upgrading(Phase::Pruning);
    for rest in [1, 2, 4, 8, 16, 30, 30] {
        scene = scene.fails(Reason::Forbidden).is(Phase::Pruning).waits(rest);
    }
    let scene = scene.fails(Reason::Forbidden).is(Phase::Available);
    assert!(scene.message().contains("could not be removed"), "{}", scene.message());
}

/// A 403 or 404 may pass, too: a right is granted again, a CustomResourceDefinition is being changed.
#[test]
fn a_single_fault_of_the_environment_decides_nothing() {
    for (phase, rests) in [(Phase::Checking, &[1, 2][..]), (Phase::Applying, &[1, 2, 4, 8, 16])] {
        for reason in [Reason::Forbidden, Reason::NamespaceMissing, Reason::UnknownKind] {
            let mut scene = Scene::upgrading(phase);
            let action = scene.action_text();
            for rest in rests {
                scene = scene.fails(reason).is(phase).does("-").waits(*rest).does(&action);
            }
            scene.clone().settled().is(Phase::Available);
            assert_ne!(scene.fails(reason).because(reason).rollout.phase(), phase);
        }
    }
}

#[test]
fn a_fault_of_the_bundle_counts_at_once() {
    Scene::upgrading(Phase::Checking).fails(Reason::ObjectRefused).is(Phase::Rejected);
    Scene::upgrading(Phase::Applying).fails(Reason::ObjectRefused).is(Phase::RollingBack);
}

#[test]
fn an_operation_is_shown_from_its_beginning_to_its_end() {
    let scene = Scene::new().assign("1.4.0").shows_operation("Install InProgress");
    let scene = scene.settled().shows_operation("Install Succeeded").runs("1.4.0", "-");
    let scene = scene.because(Reason::InstallSucceeded).has_conditions("Ready Verified");
    let scene = scene.assign("1.5.0").shows_operation("Upgrade InProgress").runs("1.4.0", "-");
    let scene = scene.has_conditions("Reconciling").until(Phase::Verifying).runs("1.4.0", "-");
    let scene = scene.settled().shows_operation("Upgrade Succeeded").runs("1.5.0", "1.4.0");
    scene.has_history(&[
        "2 Upgrade 1.5.0 Succeeded UpgradeSucceeded",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
}
