//! Requirements between add-ons.

use lifecycle::{Deletion, PeerState, Phase, Reason};

use crate::scene::Scene;
use crate::scene::words::{peer_running, requirement};
use crate::{MINUTES, any_downgrade};

fn requiring(requirements: &[&str]) -> Scene {
    Scene::available("1.4.0").requires(requirements).with_peers(&[])
}

#[test]
fn a_version_waits_for_its_requirements_and_names_them() {
    for (others, message) in [
        (vec![], "requires base >=2, which is not on this cluster"),
        (vec![("base", PeerState::default())], "requires base >=2, which is not installed yet"),
        (vec![("base", peer_running("1.9.0"))], "requires base >=2; 1.9.0 runs here"),
        (
            vec![("base", PeerState { is_changing: true, ..peer_running("2.1.0") })],
            "requires base >=2; 2.1.0 runs here and is being changed",
        ),
    ] {
        let scene = Scene::available("1.4.0").requires(&["base >=2"]).with_peers(&others);
        let scene = scene.assign("1.5.0").is(Phase::Waiting).does("-");
        let scene = scene.because(Reason::RequirementNotMet).restart().is(Phase::Waiting);
        assert_eq!(scene.message(), message);
        let scene =
            scene.with_peers(&[("base", peer_running("2.1.0"))]).is(Phase::Pulling).does("pull");
        scene.settled().is(Phase::Available).runs("1.5.0", "1.4.0");
    }
    Scene::new().requires(&["base >=2"]).assign("1.0.0").because(Reason::RequirementNotMet);
}

#[test]
fn requirements_are_compared_until_the_first_write_and_not_after_it() {
    let met = [("base", peer_running("2.1.0"))];
    let begun = |phase| requiring(&["base >=2"]).with_peers(&met).assign("1.5.0").until(phase);
    let scene = begun(Phase::Checking).with_peers(&[]).is(Phase::Checking).done();
    scene.is(Phase::Waiting).because(Reason::RequirementNotMet);
    let scene = begun(Phase::Verifying).with_peers(&[]).is(Phase::Verifying);
    scene.clone().failing().settled().is(Phase::RolledBack).runs("1.4.0", "-");
    scene.settled().is(Phase::Available).runs("1.5.0", "1.4.0");
    // What runs keeps running and retained.
    let scene = begun(Phase::Available).settled().with_peers(&[]).is(Phase::Available);
    scene.with(|seen| seen.retained.clear()).settled().is(Phase::Available);
}

fn dependent(range: &str) -> PeerState {
    PeerState { active_requirements: vec![requirement(range)], ..peer_running("7.0.0") }
}

#[test]
fn a_version_that_would_break_another_add_on_is_rejected_until_that_changes() {
    let till = [("till", dependent("shop >=1, <1.5"))];
    let scene = Scene::available("1.4.0").with_peers(&till).assign("1.5.0").is(Phase::Rejected);
    let scene = scene.because(Reason::RequiredByOthers).does("-").runs("1.4.0", "-");
    let words = "1.5.0 would break add-ons that run here: till requires shop >=1, <1.5";
    assert_eq!(scene.message(), words);
    let scene = scene.waits(MINUTES).is(Phase::Rejected).does("-");
    let scene = scene.with_peers(&[("till", dependent("shop >=1, <2"))]).is(Phase::Pulling);
    scene.settled().is(Phase::Available).runs("1.5.0", "1.4.0");
    // Found right before the first write.
    let scene = Scene::upgrading(Phase::Checking).with_peers(&till).done().is(Phase::Rejected);
    scene.because(Reason::RequiredByOthers).with_peers(&[]).settled().is(Phase::Available);
    // A rollback counts as well; what is broken already is not made worse.
    let down = Scene::available("1.4.0")
        .policy(any_downgrade)
        .with_peers(&[("till", dependent("shop >=1.4"))]);
    down.assign("1.3.0").because(Reason::RequiredByOthers);
    Scene::available("1.4.0")
        .with_peers(&[("till", dependent("shop >=3"))])
        .assign("1.5.0")
        .is(Phase::Pulling);
}

#[test]
fn other_add_ons_hold_neither_a_rollback_nor_an_uninstall() {
    let till = [("till", dependent("shop >=1.5"))];
    let scene = Scene::upgrading(Phase::Verifying).with_peers(&till);
    scene.clone().failing().settled().is(Phase::RolledBack).runs("1.4.0", "-");
    scene.clone().assign("1.4.0").is(Phase::RollingBack).settled().is(Phase::Available);
    scene.delete(Deletion::Uninstall).is(Phase::Removing);
}

#[test]
fn add_ons_that_require_each_other_are_rejected() {
    let assigned = |text: &str, it: PeerState| PeerState {
        assigned_requirements: vec![requirement(text)],
        ..it
    };
    let both =
        [("base", assigned("shop >=2", peer_running("1.0.0"))), ("shop", peer_running("1.4.0"))];
    let scene = requiring(&["base >=2"]).with_peers(&both).assign("1.5.0").is(Phase::Rejected);
    let scene = scene.because(Reason::RequirementCycle);
    let words = "requirement cycle: shop requires base, which requires shop";
    assert_eq!(scene.message(), words);
    let mended =
        [("base", assigned("shop >=1", peer_running("1.0.0"))), ("shop", peer_running("1.4.0"))];
    let scene = scene.with_peers(&mended).is(Phase::Waiting).because(Reason::RequirementNotMet);
    scene.with_peers(&[("base", peer_running("2.0.0"))]).is(Phase::Pulling);
    let alone =
        requiring(&["shop >=2"]).with_peers(&[("shop", peer_running("1.4.0"))]).assign("1.5.0");
    assert_eq!(
        alone.because(Reason::RequirementCycle).message(),
        "requirement cycle: shop requires shop"
    );
    // A cycle without this add-on is reported by the others.
    let others = [
        ("base", assigned("till >=1", peer_running("1.0.0"))),
        ("till", assigned("base >=2", peer_running("0.1.0"))),
    ];
    requiring(&["base >=2"]).with_peers(&others).assign("1.5.0").because(Reason::RequirementNotMet);
}

#[test]
fn requirements_are_recorded_while_a_release_runs_or_is_written() {
    let met = [("base", peer_running("2.1.0"))];
    let scene = requiring(&["base >=2"]).with_peers(&met).assign("1.5.0").until(Phase::Applying);
    let requirements = |scene: &Scene| PeerState::read(&scene.managed_add_on()).active_requirements;
    let first = Scene::new().requires(&["base >=2"]).with_peers(&met).assign("1.0.0");
    assert_eq!(requirements(&first.clone().until(Phase::Checking)), [], "nothing is written yet");
    assert_eq!(requirements(&first.until(Phase::Applying)), [requirement("base >=2")]);
    assert_eq!(requirements(&scene), [requirement("base >=2")]);
    let back = scene.clone().until(Phase::Verifying).failing().settled();
    assert_eq!(
        requirements(&back),
        [requirement("base >=2")],
        "those of 1.4.0, as assigned when it ran"
    );
    let scene = scene.settled().assign("1.6.0").requires(&["base >=3"]).until(Phase::Waiting);
    assert_eq!(
        requirements(&scene),
        [requirement("base >=2")],
        "a release that is only assigned requires nothing"
    );
}
