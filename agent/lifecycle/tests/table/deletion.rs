//! Deletions in every phase: orders to uninstall, and others.

use lifecycle::{Action, Deletion, DeletionIntent, Phase, Reason, Rollout};

use crate::scene::Scene;
use crate::scene::words::release;
use crate::{MINUTES, everywhere};

#[test]
fn an_ordered_deletion_starts_the_uninstall_in_every_phase() {
    for (name, scene) in everywhere() {
        let (current, touched) = (scene.rollout.current.clone(), scene.rollout.touched.clone());
        let scene = scene.delete(Deletion::Uninstall).is(Phase::Removing);
        let scene = scene.shows_operation("Uninstall InProgress").has_conditions("Reconciling");
        match &scene.action {
            Some(lifecycle::Action::Remove { releases, .. }) => {
                assert!(current.iter().chain(&touched).all(|it| releases.contains(it)), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
        let scene =
            scene.done().does("remove finalizer").shows_operation("Uninstall Succeeded").done();
        assert!(scene.gone, "{name}");
    }
}

#[test]
fn orphaning_removes_nothing_in_any_phase() {
    for (name, scene) in everywhere() {
        let scene = scene.delete(Deletion::Orphan).is(Phase::Removing).does("remove finalizer");
        let scene = scene.shows_operation("Uninstall Succeeded").done();
        assert!(scene.gone, "{name}");
    }
}

#[test]
fn a_blocked_uninstall_is_reported_and_retried_forever() {
    let mut scene = Scene::available("1.4.0").delete(Deletion::Uninstall).does("remove 1.4.0");
    for _ in 0..50 {
        scene = scene.leaves("Namespace a").is(Phase::Removing).does("-");
        assert_eq!(scene.message(), "waiting for objects to be gone (1): Namespace a");
        scene = scene.waits(30).does("remove 1.4.0").fails(Reason::Forbidden).does("-");
        scene = scene.waits(30).does("remove 1.4.0");
    }
    scene.done().does("remove finalizer");
}

#[test]
fn an_uninstall_looks_every_two_seconds_at_first() {
    let mut scene = Scene::available("1.4.0").delete(Deletion::Uninstall).does("remove 1.4.0");
    for _ in 0..20 {
        scene = scene.leaves("Namespace a").does("-").waits(2).does("remove 1.4.0");
    }
    scene.leaves("Namespace a").waits(2).does("-").waits(28).does("remove 1.4.0");
}

#[test]
fn an_uninstall_goes_past_refused_objects_after_its_first_attempts() {
    let mut scene = Scene::available("1.4.0").delete(Deletion::Uninstall);
    for attempt in 0..25 {
        let releases = vec![release("1.4.0")];
        let past_refused = attempt >= 20;
        assert_eq!(scene.action, Some(Action::Remove { releases, past_refused }), "{attempt}");
        scene = scene.leaves("ConfigMap a/b").is(Phase::Removing).waits(30);
    }
}

#[test]
fn what_a_prune_leaves_is_removed_later() {
    let scene = Scene::upgrading(Phase::Pruning).never_removes("ConfigMap a/b");
    let scene = scene.is(Phase::Available).runs("1.5.0", "1.4.0").settled();
    let named = "1.5.0 is available; could not be removed: ConfigMap a/b";
    assert_eq!(scene.message(), named);
    let saved = scene.rollout.clone();
    let scene = scene.waits(7 * MINUTES).does("prune 1.4.0, keep 1.5.0").leaves("ConfigMap a/b");
    let scene = scene.does("-").restart().is(Phase::Available);
    assert!(scene.rollout.equals_except_time(&saved), "nothing new, nothing to save");
    assert_eq!(scene.message(), named);
    let scene = scene.waits(7 * MINUTES).does("prune 1.4.0, keep 1.5.0").done();
    assert_eq!(scene.message(), "1.5.0 is available");
    scene.settled().waits(60 * MINUTES).does("-");
}

#[test]
fn what_earlier_versions_left_stays_retained_and_goes_with_the_next_removal() {
    let scene = Scene::upgrading(Phase::Pruning).never_removes("ConfigMap a/b").settled();
    let scene = scene.assign("1.6.0").until(Phase::Pruning);
    let scene = scene.does("prune 1.6.0 and 1.5.0 and 1.4.0, keep 1.6.0");
    let scene = scene.never_removes("ConfigMap a/b").settled();
    let retained = |version: &str| scene.seen.is_retained(&release(version).id);
    assert_eq!(["1.4.0", "1.5.0", "1.6.0"].map(retained), [true; 3]);
    let deleted = scene.clone().delete(Deletion::Uninstall);
    deleted.does("remove 1.6.0 and 1.5.0 and 1.4.0");
    let scene = scene.assign("1.7.0").settled().does("-");
    let retained = |version: &str| scene.seen.is_retained(&release(version).id);
    assert_eq!(["1.4.0", "1.5.0", "1.6.0"].map(retained), [false, false, true]);
}

#[test]
fn a_failed_install_that_left_something_is_removed_by_the_uninstall() {
    let scene = Scene::new().assign("1.4.0").until(Phase::Verifying).failing().done();
    let scene = scene.never_removes("ConfigMap a/b").is(Phase::Failed).settled();
    let again = scene.clone().waits(7 * MINUTES).does("prune 1.4.0, keep nothing").done();
    assert!(!again.message().contains("could not be removed"), "{}", again.message());
    scene.delete(Deletion::Uninstall).does("remove 1.4.0").leaves("ConfigMap a/b").does("-");
}

#[test]
fn a_blocked_uninstall_can_still_be_orphaned() {
    let scene = Scene::available("1.4.0").delete(Deletion::Uninstall).leaves("Namespace a");
    scene.delete(Deletion::Orphan).does("remove finalizer").shows_operation("Uninstall Succeeded");
}

#[test]
fn an_uninstall_removes_releases_that_only_their_secrets_record() {
    let mut scene = Scene::upgrading(Phase::Verifying);
    scene.rollout = Rollout::default();
    scene.delete(Deletion::Uninstall).does("remove 1.4.0 and 1.5.0");
}

#[test]
fn a_deletion_during_a_rollout_ends_its_operation() {
    let scene = Scene::upgrading(Phase::Verifying).delete(Deletion::Uninstall);
    scene.has_history(&[
        "2 Upgrade 1.5.0 Failed Superseded",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
}

#[test]
fn a_recreated_managed_add_on_is_installed_from_scratch() {
    let recreated = |scene: Scene| {
        scene.with(|seen| seen.deletion_intent = DeletionIntent::None).runs("-", "-")
    };
    let scene = Scene::available("1.4.0").delete(Deletion::Uninstall).done();
    let scene = recreated(scene).is(Phase::Pending).observe().shows_operation("Install InProgress");
    scene.settled().is(Phase::Available).runs("1.4.0", "-");
    let halfway = Scene::available("1.4.0").delete(Deletion::Uninstall).leaves("Namespace a");
    let halfway = recreated(halfway).assign("1.5.0").until(Phase::Verifying).failing();
    halfway.done().does("prune 1.4.0 and 1.5.0, keep nothing");
}

#[test]
fn an_unconfirmed_deletion_changes_nothing() {
    for (name, scene) in everywhere() {
        let unchanged = scene.clone().observe();
        let unconfirmed =
            scene.with(|seen| seen.deletion_intent = DeletionIntent::Unconfirmed).observe();
        assert_eq!(unconfirmed.rollout, unchanged.rollout, "{name}");
        assert_eq!(unconfirmed.action, unchanged.action, "{name}");
    }
}

#[test]
fn an_evicted_add_on_is_recreated_as_it_is() {
    let scenes = [
        Scene::available("1.4.0"),
        Scene::upgrading(Phase::Applying),
        Scene::upgrading(Phase::Verifying),
        Scene::rolled_back(),
        Scene::held(),
    ];
    for scene in scenes {
        let phase = scene.rollout.phase();
        let scene = scene.with(|seen| seen.deletion_intent = DeletionIntent::Evicted).observe();
        assert_eq!(scene.rollout.phase(), phase);
        scene.does("recreate");
    }
}

#[test]
fn a_successor_continues_from_the_ledger_of_its_predecessor() {
    let failed = Scene::rolled_back();
    let inherited = failed.rollout.clone().for_successor(failed.seen.generation, 1);
    let generation =
        |rollout: &Rollout| rollout.operation.as_ref().map(|it| it.assignment.generation);
    assert_eq!(generation(&inherited), Some(1));
    assert_eq!(generation(&failed.rollout.clone().for_successor(-1, 1)), Some(0));
}
