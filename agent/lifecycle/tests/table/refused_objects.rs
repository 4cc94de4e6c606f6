//! Objects that are refused on the way back: everything else is restored, and the outcome is true.

use lifecycle::health::Verdict;
use lifecycle::plan::waves::Wave;
use lifecycle::{Phase, Reason, RollbackStep};

use crate::scene::Scene;
use crate::scene::words::key;
use crate::{MINUTES, rolling_back};

const CONFIG: &str = "ConfigMap a/b";
const WORKLOAD: &str = "Deployment a/d";

fn refused(scene: &Scene) -> Vec<String> {
    scene.rollout.refused_objects().iter().map(|it| it.object.to_string()).collect()
}

fn verifying(objects: &[&str]) -> Scene {
    let mut scene = rolling_back().done();
    for wave in Wave::ALL {
        scene = scene.does(&format!("restore 1.4.0: {wave:?}")).refuses(objects, false);
    }
    scene.is(Phase::RollingBack)
}

#[test]
fn a_refused_object_keeps_no_other_from_being_restored() {
    let scene = verifying(&[CONFIG, WORKLOAD]);
    assert_eq!(refused(&scene), [CONFIG, WORKLOAD]);
}

#[test]
fn while_workloads_are_not_healthy_refused_objects_are_tried_again() {
    let scene = verifying(&[CONFIG, WORKLOAD]).does("-").unready(1);
    let scene = scene.does("restore 1.4.0: Configuration").refuses(&[CONFIG, WORKLOAD], false);
    let scene = scene.does("restore 1.4.0: Workloads").refuses(&[CONFIG], false).does("-");
    assert_eq!(refused(&scene), [CONFIG]);
    let scene = scene.unready(2).does("restore 1.4.0: Configuration").done();
    assert_eq!(refused(&scene), [""; 0]);
    let scene = scene.settled().is(Phase::RolledBack).because(Reason::Unhealthy);
    assert_eq!(scene.message(), "rolled back to 1.4.0: crash loop");
}

#[test]
fn an_object_that_is_refused_for_good_makes_the_rollback_incomplete() {
    let scene = verifying(&[CONFIG]).healthy(31).does("restore 1.4.0: Configuration");
    let scene = scene.goes_well_without(&[CONFIG], false, 5 * MINUTES).is(Phase::RolledBack);
    let scene = scene.because(Reason::RollbackIncomplete).shows_operation("Rollback Succeeded");
    let end = "crash loop; could not be restored: ConfigMap a/b: denied";
    assert!(scene.message().ends_with(end), "{}", scene.message());
    assert!(scene.rollout.history[0].reason == "RollbackIncomplete");
}

#[test]
fn a_repair_at_rest_completes_the_rollback() {
    let scene = rolling_back().goes_well_without(&[CONFIG, "ConfigMap a/c"], false, 5 * MINUTES);
    let recover = |scene: Scene, object: &str| {
        let scene = scene.with(|seen| seen.recovered = vec![key(object)]).observe();
        scene.is(Phase::RolledBack)
    };
    let scene = recover(scene.because(Reason::RollbackIncomplete), CONFIG);
    let scene = scene.because(Reason::RollbackIncomplete);
    let end = "crash loop; could not be restored: ConfigMap a/c: denied";
    assert!(scene.message().ends_with(end), "{}", scene.message());
    let scene = recover(scene, "ConfigMap a/c").because(Reason::Unhealthy);
    assert_eq!(scene.message(), "rolled back to 1.4.0: crash loop");
    assert_eq!(scene.rollout.history[0].reason, "RollbackSucceeded");
}

#[test]
fn a_transient_refusal_is_tried_again_until_the_time_is_over() {
    let scene = rolling_back().goes_well_without(&[CONFIG], true, 10 * MINUTES);
    scene.is(Phase::RollingBack).settled().is(Phase::RolledBack).because(Reason::Unhealthy);
    let scene = rolling_back().goes_well_without(&[CONFIG], true, 20 * MINUTES);
    scene.is(Phase::RolledBack).because(Reason::RollbackIncomplete);
}

#[test]
fn without_a_workload_the_release_is_not_restored() {
    let scene = rolling_back().goes_well_without(&[WORKLOAD, CONFIG], false, 5 * MINUTES);
    let scene = scene.is(Phase::Failed).because(Reason::RollbackFailed).runs("1.4.0", "-");
    assert!(scene.message().starts_with("Deployment a/d could not be restored"));
    // It is tried again after five minutes, and ends well.
    let scene = scene.settled().waits(8 * MINUTES).does("restore 1.4.0: Configuration").done();
    let scene = scene.does("restore 1.4.0: Workloads").done().healthy(40);
    let scene = scene.settled().is(Phase::RolledBack);
    scene.because(Reason::Unhealthy).has_history(&[
        "3 Rollback 1.4.0 Succeeded RollbackSucceeded",
        "2 Upgrade 1.5.0 Failed Unhealthy",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
}

#[test]
fn a_rollback_that_was_given_up_goes_on_quietly() {
    let verify = RollbackStep::Verify { healthy_for: None };
    let scene = rolling_back().until_rollback_step(verify).unready(15 * MINUTES).is(Phase::Failed);
    let mut scene = scene.done().is(Phase::Failed).does("-");
    let (saved, message) = (scene.rollout.clone(), scene.message().to_owned());
    for _ in 0..10 {
        scene = scene.unready(400).is(Phase::Failed).does("-");
        assert!(scene.rollout.equals_except_time(&saved), "nothing new, nothing to save");
    }
    assert_eq!(scene.message(), message);
    scene.healthy(40).settled().is(Phase::RolledBack).because(Reason::Unhealthy);
}

#[test]
fn a_rollback_that_was_given_up_is_superseded() {
    let verify = RollbackStep::Verify { healthy_for: None };
    let failed = rolling_back().until_rollback_step(verify).unready(15 * MINUTES).done();
    failed.clone().retry("1").is(Phase::Checking).settled().runs("1.5.0", "1.4.0");
    failed.clone().assign("1.4.0").is(Phase::RollingBack).settled().is(Phase::Available);
    failed.assign("1.6.0").settled().is(Phase::Available).runs("1.6.0", "1.4.0");
}

#[test]
fn objects_that_vanish_while_health_is_watched_are_written_again() {
    let missing = |wave| Verdict::Missing { wave, message: "ConfigMap a/b: does not exist".into() };
    let scene = Scene::upgrading(Phase::Verifying).assessed_as(missing(Wave::Namespaces), 1);
    let mut scene = scene.does("apply 1.5.0: Namespaces");
    scene.seen.verdict = Some(missing(Wave::Configuration));
    let mut scene = scene.done().does("apply 1.5.0: Configuration");
    // A controller may delete it for good: it is not written again at once.
    scene.seen.verdict = Some(missing(Wave::Configuration));
    let scene = scene.done().does("-").assessed_as(missing(Wave::Configuration), 1);
    scene.does("apply 1.5.0: Configuration").done().settled().runs("1.5.0", "1.4.0");

    let scene = rolling_back().until_rollback_step(RollbackStep::Verify { healthy_for: None });
    let scene = scene.assessed_as(missing(Wave::Roles), 1).does("restore 1.4.0: Roles").done();
    scene.settled().is(Phase::RolledBack).because(Reason::Unhealthy);
    assert_eq!(key(CONFIG).wave(), Wave::Configuration);
}

#[test]
fn a_missing_object_whose_namespace_vanished_too_is_written_with_it() {
    let missing = |wave| Verdict::Missing { wave, message: "a: does not exist".into() };
    let scene = Scene::upgrading(Phase::Verifying).assessed_as(missing(Wave::Configuration), 1);
    let mut scene = scene.does("apply 1.5.0: Configuration");
    scene.seen.verdict = Some(missing(Wave::Namespaces));
    let scene = scene.fails(Reason::NamespaceMissing).is(Phase::Verifying).does("-");
    let scene = scene.assessed_as(missing(Wave::Namespaces), 2).does("apply 1.5.0: Namespaces");
    scene.done().settled().runs("1.5.0", "1.4.0");
}

#[test]
fn what_never_stays_is_not_healthy_in_time() {
    let missing = Verdict::Missing { wave: Wave::Roles, message: "Role a/b: gone".into() };
    let mut scene = Scene::upgrading(Phase::Verifying);
    while scene.rollout.phase() == Phase::Verifying {
        scene.seen.verdict = Some(missing.clone());
        scene = if scene.action.is_some() { scene.done() } else { scene.waits(5) };
    }
    scene.is(Phase::RollingBack).because(Reason::TimedOut);
}
