//! Add-ons that need others.

use lifecycle::{Deletion, PeerState, Phase, Reason};

use crate::scene::Scene;
use crate::scene::words::{need, running};
use crate::{MINUTES, any_way_down};

fn needing(needs: &[&str]) -> Scene {
    Scene::available("1.4.0").requires(needs).among(&[])
}

#[test]
fn what_needs_another_add_on_waits_for_it_and_says_for_what() {
    for (others, message) in [
        (vec![], "requires base >=2, which is not on this cluster"),
        (vec![("base", PeerState::default())], "requires base >=2, which is not installed yet"),
        (vec![("base", running("1.9.0"))], "requires base >=2; 1.9.0 runs here"),
        (
            vec![("base", PeerState { is_changing: true, ..running("2.1.0") })],
            "requires base >=2; 2.1.0 runs here and is being changed",
        ),
    ] {
        let scene = Scene::available("1.4.0").requires(&["base >=2"]).among(&others);
        let scene = scene.assign("1.5.0").is(Phase::Waiting).does("-");
        let scene = scene.because(Reason::RequirementNotMet).restart().is(Phase::Waiting);
        assert_eq!(scene.message(), message);
        let scene = scene.among(&[("base", running("2.1.0"))]).is(Phase::Pulling).does("pull");
        scene.settled().is(Phase::Available).runs("1.5.0", "1.4.0");
    }
    Scene::new().requires(&["base >=2"]).assign("1.0.0").because(Reason::RequirementNotMet);
}

#[test]
fn a_need_is_looked_at_again_right_before_the_first_write_and_not_after_it() {
    let met = [("base", running("2.1.0"))];
    let begun = |phase| needing(&["base >=2"]).among(&met).assign("1.5.0").until(phase);
    let scene = begun(Phase::Checking).among(&[]).is(Phase::Checking).done();
    scene.is(Phase::Waiting).because(Reason::RequirementNotMet);
    let scene = begun(Phase::Verifying).among(&[]).is(Phase::Verifying);
    scene.clone().broken().settled().is(Phase::RolledBack).runs("1.4.0", "-");
    scene.settled().is(Phase::Available).runs("1.5.0", "1.4.0");
    // What runs goes on running, and is kept whole.
    let scene = begun(Phase::Available).settled().among(&[]).is(Phase::Available);
    scene.with(|seen| seen.retained.clear()).settled().is(Phase::Available);
}

fn relying(need_of_ours: &str) -> PeerState {
    PeerState { active_requirements: vec![need(need_of_ours)], ..running("7.0.0") }
}

#[test]
fn a_version_that_would_break_another_add_on_is_refused_until_that_changes() {
    let ledge = [("till", relying("shop >=1, <1.5"))];
    let scene = Scene::available("1.4.0").among(&ledge).assign("1.5.0").is(Phase::Rejected);
    let scene = scene.because(Reason::RequiredByOthers).does("-").runs("1.4.0", "-");
    let words = "1.5.0 would break add-ons that run here: till requires shop >=1, <1.5";
    assert_eq!(scene.message(), words);
    let scene = scene.rests(MINUTES).is(Phase::Rejected).does("-");
    let scene = scene.among(&[("till", relying("shop >=1, <2"))]).is(Phase::Pulling);
    scene.settled().is(Phase::Available).runs("1.5.0", "1.4.0");
    // Found right before the first write.
    let scene = Scene::upgrading(Phase::Checking).among(&ledge).done().is(Phase::Rejected);
    scene.because(Reason::RequiredByOthers).among(&[]).settled().is(Phase::Available);
    // A step down is a step too; what is broken already is not made worse.
    let down =
        Scene::available("1.4.0").policy(any_way_down).among(&[("till", relying("shop >=1.4"))]);
    down.assign("1.3.0").because(Reason::RequiredByOthers);
    Scene::available("1.4.0")
        .among(&[("till", relying("shop >=3"))])
        .assign("1.5.0")
        .is(Phase::Pulling);
}

#[test]
fn no_other_add_on_holds_a_way_back_or_a_removal() {
    let ledge = [("till", relying("shop >=1.5"))];
    let scene = Scene::upgrading(Phase::Verifying).among(&ledge);
    scene.clone().broken().settled().is(Phase::RolledBack).runs("1.4.0", "-");
    scene.clone().assign("1.4.0").is(Phase::RollingBack).settled().is(Phase::Available);
    scene.delete(Deletion::Uninstall).is(Phase::Removing);
}

#[test]
fn add_ons_that_wait_for_each_other_are_refused() {
    let asking = |need_of: &str, it: PeerState| PeerState {
        assigned_requirements: vec![need(need_of)],
        ..it
    };
    let both = [("base", asking("shop >=2", running("1.0.0"))), ("shop", running("1.4.0"))];
    let scene = needing(&["base >=2"]).among(&both).assign("1.5.0").is(Phase::Rejected);
    let scene = scene.because(Reason::RequirementCycle);
    let words = "requirement cycle: shop requires base, which requires shop";
    assert_eq!(scene.message(), words);
    let mended = [("base", asking("shop >=1", running("1.0.0"))), ("shop", running("1.4.0"))];
    let scene = scene.among(&mended).is(Phase::Waiting).because(Reason::RequirementNotMet);
    scene.among(&[("base", running("2.0.0"))]).is(Phase::Pulling);
    let alone = needing(&["shop >=2"]).among(&[("shop", running("1.4.0"))]).assign("1.5.0");
    assert_eq!(
        alone.because(Reason::RequirementCycle).message(),
        "requirement cycle: shop requires shop"
    );
    // A circle of which this one is no part is the others' to tell.
    let others = [
        ("base", asking("till >=1", running("1.0.0"))),
        ("till", asking("base >=2", running("0.1.0"))),
    ];
    needing(&["base >=2"]).among(&others).assign("1.5.0").because(Reason::RequirementNotMet);
}

#[test]
fn what_a_release_needs_is_remembered_while_it_runs_or_is_written() {
    let met = [("base", running("2.1.0"))];
    let scene = needing(&["base >=2"]).among(&met).assign("1.5.0").until(Phase::Applying);
    let relies = |scene: &Scene| PeerState::read(&scene.managed_add_on()).active_requirements;
    let first = Scene::new().requires(&["base >=2"]).among(&met).assign("1.0.0");
    assert_eq!(relies(&first.clone().until(Phase::Checking)), [], "nothing is written yet");
    assert_eq!(relies(&first.until(Phase::Applying)), [need("base >=2")]);
    assert_eq!(relies(&scene), [need("base >=2")]);
    let back = scene.clone().until(Phase::Verifying).broken().settled();
    assert_eq!(relies(&back), [need("base >=2")], "of 1.4.0, as it was asked for when it ran");
    let scene = scene.settled().assign("1.6.0").requires(&["base >=3"]).until(Phase::Waiting);
    assert_eq!(relies(&scene), [need("base >=2")], "what is only asked for relies on nothing");
}
