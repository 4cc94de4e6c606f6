//! What is shown about a release at rest.

use lifecycle::{ManagedAddOnStatus, Phase};

use crate::scene::Scene;

#[test]
fn a_degradation_at_rest_is_shown_and_changes_nothing_else() {
    let degraded = |mut scene: Scene| {
        let before = scene.saved.clone();
        scene.context.degradation = Some("Deployment a/b: 0 of 1".to_owned());
        let scene = scene.observe().does("-");
        let shown = |status: &ManagedAddOnStatus| ManagedAddOnStatus {
            conditions: Vec::new(),
            ..status.clone()
        };
        assert_eq!(shown(&scene.saved), shown(&before));
        scene
    };
    let shown = |scene: &Scene, kind: &str| {
        let mut all = scene.saved.conditions.iter();
        let it = all.find(|condition| condition.type_ == kind).expect("a condition");
        format!("{} {}: {}", it.status, it.reason, it.message)
    };
    let available = degraded(Scene::available("1.4.0")).has_conditions("Degraded Verified");
    for kind in ["Degraded", "Ready"] {
        let status = if kind == "Ready" { "False" } else { "True" };
        let expected = format!("{status} RunningUnhealthy: Deployment a/b: 0 of 1");
        assert_eq!(shown(&available, kind), expected);
    }
    let rolled_back = degraded(Scene::rolled_back()).has_conditions("Stalled Degraded Verified");
    assert_eq!(shown(&rolled_back, "Degraded"), "True RunningUnhealthy: Deployment a/b: 0 of 1");
    assert_eq!(shown(&rolled_back, "Ready"), "False Unhealthy: rolled back to 1.4.0: crash loop");
    let healthy = Scene::available("1.4.0");
    assert_eq!(shown(&healthy, "Degraded"), "False InstallSucceeded: ");
    let verified = "True DigestVerified: the bundle has the assigned digest";
    assert_eq!(shown(&healthy, "Verified"), verified);
    let rejected =
        degraded(Scene::available("1.4.0").unreadable()).has_conditions("Stalled Degraded");
    // Another version is on its way, and the degradation is of the one before.
    rejected.assign("1.5.0").is(Phase::Pulling).has_conditions("Reconciling");
}

#[test]
fn drift_is_shown_at_rest_only() {
    let mut scene = Scene::available("1.4.0");
    scene.context.drift = Some(lifecycle::at_rest::DriftCondition {
        is_drifted: true,
        reason: lifecycle::at_rest::DriftReason::Contested,
        message: "ConfigMap a/b".to_owned(),
    });
    let scene = scene.observe().is(Phase::Available).has_conditions("Ready Verified Drifted");
    scene.assign("1.5.0").is(Phase::Pulling).has_conditions("Reconciling");
}
