//! The judgement whether a rollback would work, made before the first write, and what a rollback leaves as it is.

use lifecycle::plan::waves::Wave;
use lifecycle::{
    Blocker, Deletion, ManagedAddOnStatus, OnUnsafe, Outcome, Phase, Policy, Reason, Rollout,
};

use crate::scene::words::{blocker, definition, kept};
use crate::scene::{Scene, hold};
use crate::{MINUTES, rolling_back};

const CLAIM: &str =
    "PersistentVolumeClaim data requests another size, and a claim that has grown cannot shrink";

fn unsafe_upgrade() -> Scene {
    let scene = Scene::available("1.4.0").finds_risks(&["data"], &["web:1"]);
    scene.assign("1.5.0").until(Phase::Checking).done()
}

fn accepted(scene: &Scene) -> Vec<Blocker> {
    scene.rollout.operation.as_ref().map(|it| it.accepted_blockers.clone()).unwrap_or_default()
}

#[test]
fn the_judgement_is_a_condition_from_the_check_until_the_next_operation() {
    let image = "image web:1 may have to be pulled again for a rollback";
    for (claims, images, shown) in [
        (
            &[][..],
            &[][..],
            "True NoKnownRisk: no known reason why a rollback would not work".to_owned(),
        ),
        (&[], &["web:1", "web:1"], format!("Unknown Undetermined: {image}; {image}")),
        (&["data"], &["web:1"], format!("False RollbackUnsafe: {CLAIM}; {image}")),
    ] {
        let scene = Scene::available("1.4.0").shows_condition("RollbackSafe", "absent");
        let scene = scene.finds_risks(claims, images).policy(proceed).assign("1.5.0");
        let scene = scene.until(Phase::Verifying).shows_condition("RollbackSafe", &shown);
        let back =
            scene.clone().failing().is(Phase::RollingBack).shows_condition("RollbackSafe", &shown);
        back.settled().is(Phase::RolledBack).shows_condition("RollbackSafe", &shown);
        let scene = scene.settled().is(Phase::Available).shows_condition("RollbackSafe", &shown);
        scene.assign("1.6.0").shows_condition("RollbackSafe", "absent");
    }
}

fn proceed(policy: &mut Policy) {
    policy.on_unsafe = OnUnsafe::Proceed;
}

#[test]
fn a_version_whose_rollback_would_not_work_waits() {
    let scene = unsafe_upgrade().is(Phase::Waiting).because(Reason::RollbackUnsafe).does("-");
    let expected = format!("a rollback would not be safe: {CLAIM}. ");
    assert!(scene.message().starts_with(&expected), "{}", scene.message());
    let scene = scene.has_conditions("Reconciling Verified").shows_operation("Upgrade InProgress");
    let scene = scene.waits(60 * MINUTES).is(Phase::Waiting).does("-");
    let scene = scene.pause().resume().slot(false).slot(true).is(Phase::Waiting).restart();
    let scene = scene.is(Phase::Waiting).does("-").runs("1.4.0", "-");
    assert!(scene.message().contains("not be safe"));
}

#[test]
fn a_retry_accepts_the_reported_blockers_and_no_others() {
    let scene = unsafe_upgrade().retry("go").does("check 1.5.0 from 1.4.0");
    let other = scene.clone().finds_risks(&["data", "logs"], &[]).done();
    let other = other.is(Phase::Waiting).because(Reason::RollbackUnsafe);
    other.retry("again").done().is(Phase::Applying);
    let scene = scene.done().is(Phase::Applying).settled();
    scene.is(Phase::Available).has_history(&[
        "2 Upgrade 1.5.0 Succeeded UpgradeSucceeded",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
    // The same where it has to wait for something else first.
    let scene = unsafe_upgrade().pause().retry("go").because(Reason::Paused).resume();
    scene.done().is(Phase::Applying);
}

#[test]
fn consent_is_saved_as_kinds_and_keys_so_that_a_reworded_message_keeps_it() {
    let scene = unsafe_upgrade().retry("go");
    assert_eq!(accepted(&scene), [blocker("data")]);
    let saved = scene.saved.rollout.clone().expect("a ledger");
    let accepted = &saved["operation"]["acceptedBlockers"];
    let key = serde_json::json!({"group": "", "kind": "PersistentVolumeClaim", "name": "data"});
    assert_eq!(*accepted, serde_json::json!([{"kind": "claimResized", "object": key}]));
    // Everything that was ever written for a person is another text, as after an upgrade of the agent.
    let reworded = saved.to_string().replace(CLAIM, "in other words");
    let rollout = serde_json::from_str(&reworded).expect("JSON");
    let status = ManagedAddOnStatus { rollout: Some(rollout), ..scene.saved.clone() };
    let mut scene = scene;
    scene.rollout = Rollout::load(&status).expect("a ledger").expect("a ledger");
    scene.done().is(Phase::Applying);
}

#[test]
fn a_held_version_proceeds_after_a_change_of_policy_version_or_cause() {
    unsafe_upgrade().policy(proceed).done().is(Phase::Applying);
    unsafe_upgrade().policy(hold).done().is(Phase::Waiting).because(Reason::RollbackUnsafe);
    unsafe_upgrade().finds_risks(&[], &[]).retry("look").done().is(Phase::Applying);
    unsafe_upgrade().assign("1.4.0").is(Phase::Available).runs("1.4.0", "-");
    let scene = unsafe_upgrade().finds_risks(&[], &[]).assign("1.6.0").settled();
    scene.is(Phase::Available).runs("1.6.0", "1.4.0");
    unsafe_upgrade().delete(Deletion::Uninstall).is(Phase::Removing);
}

#[test]
fn blockers_that_were_accepted_for_one_version_are_not_accepted_for_another() {
    let scene = unsafe_upgrade().retry("go").assign("1.6.0").until(Phase::Checking).done();
    scene.is(Phase::Waiting).because(Reason::RollbackUnsafe);
}

#[test]
fn neither_an_unknown_nor_a_release_that_is_half_written_is_held() {
    let scene = Scene::available("1.4.0").finds_risks(&[], &["web:1"]).assign("1.5.0");
    let scene = scene.until(Phase::Applying).finds_risks(&["data"], &[]);
    scene.assign("1.6.0").until(Phase::Checking).done().is(Phase::Applying);
}

#[test]
fn warnings_of_the_check_are_shown_while_the_release_is_written_and_stop_nothing() {
    let mut scene = Scene::available("1.4.0");
    scene.check_report.warnings = vec!["a".to_owned(), "b".to_owned()];
    let scene = scene.assign("1.5.0").until(Phase::Applying);
    assert_eq!(scene.message(), "the check warns: a; b");
    let scene = scene.done().restart().done();
    assert_eq!(scene.message(), "the check warns: a; b");
    let scene = scene.settled().is(Phase::Available);
    assert_eq!(scene.message(), "1.5.0 is available");
    let warnings = scene.rollout.operation.as_ref().map(|operation| operation.warnings.len());
    assert_eq!(warnings, Some(2), "kept in the ledger");
}

#[test]
fn a_rollback_names_the_objects_it_kept_and_restores_all_others() {
    for requested in [false, true] {
        let scene = Scene::upgrading(Phase::Verifying);
        let scene = if requested { scene.assign("1.4.0") } else { scene.failing().done() };
        let scene = scene.done().done().does("restore 1.4.0: Definitions");
        let scene = scene.keeps(&["b"]);
        let scene = scene.is(Phase::RollingBack).does("restore 1.4.0: Roles").restart();
        let scene = scene.settled().because(Reason::RollbackIncomplete).runs("1.4.0", "-");
        let scene = scene.shows_operation("Rollback Succeeded");
        let kept = "left as they are: CustomResourceDefinition b: 3 objects would lose spec.a";
        assert!(scene.message().ends_with(kept), "{}", scene.message());
        let is_kept = |name: &str| scene.rollout.is_kept(&definition(name));
        assert_eq!(["b", "bc"].map(is_kept), [true, false], "repair at rest leaves it, too");
        scene.is(if requested { Phase::Available } else { Phase::RolledBack });
    }
}

#[test]
fn all_kept_objects_are_recorded_and_five_of_them_are_named() {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let scene = rolling_back().done().done().keeps(&names).keeps(&names).settled();
    assert!(names.iter().all(|name| scene.rollout.is_kept(&definition(name))));
    let end = "CustomResourceDefinition e: 3 objects would lose spec.a (and 2 more)";
    assert!(scene.message().ends_with(end), "{}", scene.message());
}

#[test]
fn the_outcome_of_another_wave_keeps_no_objects() {
    let stray =
        Outcome::Applied { wave: Wave::Extensions, kept: vec![kept("x")], refused: Vec::new() };
    let scene = rolling_back().done().ends(Some(stray)).does("-");
    scene.settled().is(Phase::RolledBack).because(Reason::Unhealthy);
}
