//! Upgrade paths: which version may follow which.

use lifecycle::{Downgrades, Phase, Reason, Upgrades};

use crate::MINUTES;
use crate::scene::Scene;

#[test]
fn policies_decide_which_version_may_follow() {
    use Downgrades::*;
    use Upgrades::{Any as AnyStep, Minor, None as NoStep, Patch};
    let allowed = Phase::Pulling;
    for (upgrades, downgrades, to, phase) in [
        (AnyStep, Previous, "2.0.0", allowed),
        (Minor, Previous, "2.0.0", Phase::Rejected),
        (Minor, Previous, "1.6.0", allowed),
        (Patch, Previous, "1.6.0", Phase::Rejected),
        (Patch, Previous, "1.5.1", allowed),
        (NoStep, Previous, "1.5.1", Phase::Rejected),
        (NoStep, Previous, "1.5.0 moved", allowed),
        (NoStep, Previous, "1.4.0", Phase::Checking),
        (AnyStep, Previous, "1.3.0", Phase::Rejected),
        (AnyStep, Previous, "1.5.0-rc.1", Phase::Rejected),
        (AnyStep, Any, "1.3.0", allowed),
        (AnyStep, Never, "1.4.0", Phase::Rejected),
    ] {
        let scene = Scene::upgrading(Phase::Available).settled();
        let scene =
            scene.policy(|policy| (policy.upgrades, policy.downgrades) = (upgrades, downgrades));
        let scene = scene.assign(to);
        assert_eq!(scene.rollout.phase(), phase, "{upgrades:?} {downgrades:?} {to}");
    }
}

#[test]
fn build_metadata_makes_no_version_older() {
    for build in ["1.5.0+abc1", "1.5.0+f00d"] {
        let scene = Scene::available("1.5.0+beef").assign(build).observe();
        scene.shows_operation("Upgrade InProgress");
    }
}

#[test]
fn a_requested_rollback_ends_in_available() {
    let scene = Scene::upgrading(Phase::Available).settled().assign("1.4.0");
    let scene = scene.shows_operation("Rollback InProgress").settled().is(Phase::Available);
    scene
        .shows_operation("Rollback Succeeded")
        .runs("1.4.0", "1.5.0")
        .because(Reason::RollbackSucceeded);
}

#[test]
fn upgrade_from_decides_which_versions_may_be_followed() {
    let scene = Scene::available("1.4.0").upgrade_from(">=1.5.0").assign("1.6.0");
    let scene = scene.is(Phase::Rejected).because(Reason::UpgradePathNotSupported);
    let scene = scene.waits(60 * MINUTES).is(Phase::Rejected).does("-");
    scene.upgrade_from(">=1.3.0, <1.5.0").assign("1.6.0").is(Phase::Pulling);
}

#[test]
fn the_upgrade_path_begins_at_the_running_version_not_at_a_half_written_one() {
    let scene = Scene::upgrading(Phase::Applying).upgrade_from(">=1.5.0").assign("1.6.0");
    let scene = scene.is(Phase::Applying).until(Phase::Available).settled();
    scene.is(Phase::Available).runs("1.6.0", "1.5.0");
}

#[test]
fn a_version_names_the_api_servers_that_it_supports() {
    let scene = Scene::new().needs_kubernetes(">=1.32").assign("1.4.0").is(Phase::Rejected);
    let scene = scene.because(Reason::KubernetesNotSupported).has_conditions("");
    let scene =
        scene.kubernetes("1.32.1").is(Phase::Rejected).waits(6 * MINUTES).is(Phase::Rejected);
    scene.waits(MINUTES).is(Phase::Pulling).shows_operation("Install InProgress");
}

#[test]
fn an_unknown_api_server_version_rejects_nothing() {
    let mut scene = Scene::new().needs_kubernetes(">=1.32");
    scene.seen.kubernetes = None;
    scene.assign("1.4.0").is(Phase::Pulling);
}
