//! Deletion in every phase, and what may be no order to uninstall.

use lifecycle::{Deletion, DeletionIntent, Phase, Reason, Rollout};

use crate::everywhere;
use crate::scene::Scene;

#[test]
fn deletion_is_heard_in_every_phase() {
    for (name, scene) in everywhere() {
        let (current, touched) = (scene.rollout.current.clone(), scene.rollout.touched.clone());
        let scene = scene.delete(Deletion::Uninstall).is(Phase::Removing);
        let scene = scene.shows_operation("Uninstall InProgress").conditions("Reconciling");
        match &scene.action {
            Some(lifecycle::Action::Remove { releases: of }) => {
                assert!(current.iter().chain(&touched).all(|it| of.contains(it)), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
        let scene = scene.done().does("release").shows_operation("Uninstall Succeeded").done();
        assert!(scene.gone, "{name}");
    }
}

#[test]
fn orphaning_removes_nothing_in_any_phase() {
    for (name, scene) in everywhere() {
        let scene = scene.delete(Deletion::Orphan).is(Phase::Removing).does("release");
        let scene = scene.shows_operation("Uninstall Succeeded").done();
        assert!(scene.gone, "{name}");
    }
}

#[test]
fn a_blocked_removal_is_told_and_tried_for_ever() {
    let mut scene = Scene::available("1.4.0").delete(Deletion::Uninstall).does("remove 1.4.0");
    for _ in 0..50 {
        scene = scene.left("Namespace a").is(Phase::Removing).does("-");
        assert_eq!(scene.message(), "waiting for objects to be gone (1): Namespace a");
        scene = scene.rests(30).does("remove 1.4.0").refused(Reason::Forbidden).does("-");
        scene = scene.rests(30).does("remove 1.4.0");
    }
    scene.done().does("release");
}

#[test]
fn what_is_going_is_looked_for_every_other_second_at_first() {
    let mut scene = Scene::available("1.4.0").delete(Deletion::Uninstall).does("remove 1.4.0");
    for _ in 0..20 {
        scene = scene.left("Namespace a").does("-").rests(2).does("remove 1.4.0");
    }
    scene.left("Namespace a").rests(2).does("-").rests(28).does("remove 1.4.0");
}

#[test]
fn a_blocked_removal_can_still_be_orphaned() {
    let scene = Scene::available("1.4.0").delete(Deletion::Uninstall).left("Namespace a");
    scene.delete(Deletion::Orphan).does("release").shows_operation("Uninstall Succeeded");
}

#[test]
fn deletion_removes_what_only_secrets_know() {
    let mut scene = Scene::upgrading(Phase::Verifying);
    scene.rollout = Rollout::default();
    scene.delete(Deletion::Uninstall).does("remove 1.4.0 and 1.5.0");
}

#[test]
fn deletion_during_a_rollout_ends_its_operation() {
    let scene = Scene::upgrading(Phase::Verifying).delete(Deletion::Uninstall);
    scene.remembers(&[
        "2 Upgrade 1.5.0 Failed Superseded",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
}

#[test]
fn a_managed_add_on_made_anew_installs_anew() {
    let anew = |scene: Scene| {
        scene.with(|seen| seen.deletion_intent = DeletionIntent::None).runs("-", "-")
    };
    let scene = Scene::available("1.4.0").delete(Deletion::Uninstall).done();
    let scene = anew(scene).is(Phase::Pending).look().shows_operation("Install InProgress");
    scene.settled().is(Phase::Available).runs("1.4.0", "-");
    let halfway = Scene::available("1.4.0").delete(Deletion::Uninstall).left("Namespace a");
    let halfway = anew(halfway).assign("1.5.0").until(Phase::Verifying).broken();
    halfway.done().does("prune of 1.4.0 and 1.5.0, keep nothing");
}

#[test]
fn a_deletion_that_may_be_no_order_changes_nothing() {
    for (what, scene) in everywhere() {
        let still = scene.clone().look();
        let doubted = scene.with(|seen| seen.deletion_intent = DeletionIntent::Unconfirmed).look();
        assert_eq!(doubted.rollout, still.rollout, "{what}");
        assert_eq!(doubted.action, still.action, "{what}");
    }
}

#[test]
fn what_is_evicted_is_passed_on_as_it_is() {
    let scenes = [
        Scene::available("1.4.0"),
        Scene::upgrading(Phase::Applying),
        Scene::upgrading(Phase::Verifying),
        Scene::rolled_back(),
        Scene::held(),
    ];
    for scene in scenes {
        let phase = scene.rollout.phase();
        let scene = scene.with(|seen| seen.deletion_intent = DeletionIntent::Evicted).look();
        assert_eq!(scene.rollout.phase(), phase);
        scene.does("pass on");
    }
}

#[test]
fn who_takes_over_a_ledger_goes_on_from_there() {
    let failed = Scene::rolled_back();
    let inherited = failed.rollout.clone().for_successor(failed.seen.generation, 1);
    let asked = |rollout: &Rollout| rollout.operation.as_ref().map(|it| it.assignment.generation);
    assert_eq!(asked(&inherited), Some(1));
    assert_eq!(asked(&failed.rollout.clone().for_successor(-1, 1)), Some(0));
}
