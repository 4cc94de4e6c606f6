//! Whether an upgrade can be gone back from, judged before its first write.

use lifecycle::plan::Wave;
use lifecycle::{Deletion, ObjectKey, OnUnsafe, Outcome, Phase, Policy, Reason};

use crate::scene::{Scene, hold};
use crate::{MINUTES, rolling_back};

fn unsafe_upgrade() -> Scene {
    let scene = Scene::available("1.4.0").judged(&["a claim cannot shrink"], &["images"]);
    scene.assign("1.5.0").until(Phase::Checking).done()
}

#[test]
fn what_is_judged_of_going_back_is_a_condition() {
    for (hindrances, doubts, shown) in [
        (
            &[][..],
            &[][..],
            "True NoKnownRisk: nothing is known that would stand in the way of going back",
        ),
        (&[], &["a", "b"], "Unknown Undetermined: a; b"),
        (&["c"], &["a"], "False RollbackUnsafe: c; a"),
    ] {
        let scene = Scene::available("1.4.0").says("RollbackSafe", "absent");
        let scene = scene.judged(hindrances, doubts).policy(proceed).assign("1.5.0");
        let scene = scene.until(Phase::Verifying).says("RollbackSafe", shown);
        let back = scene.clone().broken().is(Phase::RollingBack).says("RollbackSafe", shown);
        back.settled().is(Phase::RolledBack).says("RollbackSafe", shown);
        let scene = scene.settled().is(Phase::Available).says("RollbackSafe", shown);
        scene.assign("1.6.0").says("RollbackSafe", "absent");
    }
}

fn proceed(policy: &mut Policy) {
    policy.on_unsafe = OnUnsafe::Proceed;
}

#[test]
fn what_cannot_be_gone_back_from_waits() {
    let scene = unsafe_upgrade().is(Phase::Waiting).because(Reason::RollbackUnsafe).does("-");
    assert!(scene.message().contains("not be safe: a claim cannot shrink."), "{}", scene.message());
    let scene = scene.conditions("Reconciling Verified").shows_operation("Upgrade InProgress");
    let scene = scene.rests(60 * MINUTES).is(Phase::Waiting).does("-");
    let scene = scene.pause().resume().slot(false).slot(true).is(Phase::Waiting).restart();
    let scene = scene.is(Phase::Waiting).does("-").runs("1.4.0", "-");
    assert!(scene.message().contains("not be safe"));
}

#[test]
fn a_retry_accepts_what_was_told_and_nothing_else() {
    let scene = unsafe_upgrade().retry("go").does("check 1.5.0 from 1.4.0");
    let other = scene.clone().judged(&["a claim cannot shrink", "another"], &[]).done();
    let other = other.is(Phase::Waiting).because(Reason::RollbackUnsafe);
    other.retry("again").done().is(Phase::Applying);
    let scene = scene.done().is(Phase::Applying).settled();
    scene.is(Phase::Available).remembers(&[
        "2 Upgrade 1.5.0 Succeeded UpgradeSucceeded",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
    // Also where it has to wait for something else first.
    let scene = unsafe_upgrade().pause().retry("go").because(Reason::Paused).resume();
    scene.done().is(Phase::Applying);
}

#[test]
fn a_changed_policy_another_version_or_a_mended_cause_leads_out_of_waiting() {
    unsafe_upgrade().policy(proceed).done().is(Phase::Applying);
    unsafe_upgrade().policy(hold).done().is(Phase::Waiting).because(Reason::RollbackUnsafe);
    unsafe_upgrade().judged(&[], &[]).retry("look").done().is(Phase::Applying);
    unsafe_upgrade().assign("1.4.0").is(Phase::Available).runs("1.4.0", "-");
    let scene = unsafe_upgrade().judged(&[], &[]).assign("1.6.0").settled();
    scene.is(Phase::Available).runs("1.6.0", "1.4.0");
    unsafe_upgrade().delete(Deletion::Uninstall).is(Phase::Removing);
}

#[test]
fn an_accepted_danger_is_not_accepted_for_another_version() {
    let scene = unsafe_upgrade().retry("go").assign("1.6.0").until(Phase::Checking).done();
    scene.is(Phase::Waiting).because(Reason::RollbackUnsafe);
}

#[test]
fn a_doubt_holds_nothing_and_neither_does_what_is_half_there() {
    let scene = Scene::available("1.4.0").judged(&[], &["images"]).assign("1.5.0");
    let scene = scene.until(Phase::Applying).judged(&["a claim cannot shrink"], &[]);
    scene.assign("1.6.0").until(Phase::Checking).done().is(Phase::Applying);
}

#[test]
fn what_the_check_warns_of_is_said_while_it_is_written_and_stops_nothing() {
    let mut scene = Scene::available("1.4.0");
    scene.report.warnings = vec!["a".to_owned(), "b".to_owned()];
    let scene = scene.assign("1.5.0").until(Phase::Applying);
    assert_eq!(scene.message(), "the check warns: a; b");
    let scene = scene.done().restart().done();
    assert_eq!(scene.message(), "the check warns: a; b");
    let scene = scene.settled().is(Phase::Available);
    assert_eq!(scene.message(), "1.5.0 is available");
    let warned = scene.rollout.operation.as_ref().map(|operation| operation.warnings.len());
    assert_eq!(warned, Some(2), "kept in the ledger");
}

#[test]
fn what_going_back_cannot_put_back_is_told_and_the_rest_goes_back() {
    for asked in [false, true] {
        let scene = Scene::upgrading(Phase::Verifying);
        let scene = if asked { scene.assign("1.4.0") } else { scene.broken().done() };
        let scene = scene.done().done().does("apply 1.4.0 again: Definitions");
        let scene = scene.leaves("CustomResourceDefinition b: 3 objects would lose spec.a");
        let scene = scene.is(Phase::RollingBack).does("apply 1.4.0 again: Roles").restart();
        let scene = scene.settled().because(Reason::RollbackIncomplete).runs("1.4.0", "-");
        let scene = scene.shows_operation("Rollback Succeeded");
        let left = "left as they are: CustomResourceDefinition b: 3 objects would lose spec.a";
        assert!(scene.message().ends_with(left), "{}", scene.message());
        let is_left = |name: &str| scene.rollout.left_as_is(&definition(name));
        assert_eq!(["b", "bc"].map(is_left), [true, false], "the repair at rest leaves it as well");
        scene.is(if asked { Phase::Available } else { Phase::RolledBack });
    }
}

fn definition(name: &str) -> ObjectKey {
    ObjectKey {
        group: "apiextensions.k8s.io".into(),
        kind: "CustomResourceDefinition".into(),
        namespace: None,
        name: name.into(),
    }
}

#[test]
fn a_stage_that_is_not_the_one_awaited_leaves_nothing() {
    let left = vec!["x".to_owned()];
    let stray = Outcome::AppliedBut { stage: Wave::Extensions, left };
    let scene = rolling_back().done().ends(Some(stray)).does("-");
    scene.settled().is(Phase::RolledBack).because(Reason::Unhealthy);
}
