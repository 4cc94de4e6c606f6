//! The transition table, row by row: every arrow of the phase diagram and every rule of the design.

mod scene;

use std::time::Duration;

use lifecycle::health::{Ill, Verdict};
use lifecycle::hook::Ran;
use lifecycle::plan::Stage;
use lifecycle::{
    Back, Deletion, Downgrades, Leaving, ManagedAddOnStatus, Neighbour, ObjectKey, OnFailure,
    OnUnsafe, Outcome, Phase, Policy, Reason, Retained, RetainedState, Rollout, State, Upgrades,
};
use scene::words::{need, release, running};
use scene::{Scene, hold};

const MINUTES: u64 = 60;

// Arrows

#[test]
fn every_arrow_forward() {
    type Turn = fn(Scene) -> Scene;
    let done: Turn = |scene| scene.done();
    let soaked: Turn = |scene| scene.healthy(31);
    let applied: Turn = |scene| Stage::ALL.iter().fold(scene, |scene, _| scene.done());
    let rows: [(Phase, Turn, Phase, &str); 6] = [
        (Phase::Pulling, done, Phase::Staging, "stage"),
        (Phase::Staging, done, Phase::Checking, "check 1.5.0 from 1.4.0"),
        (Phase::Checking, done, Phase::Applying, "apply 1.5.0: Namespaces"),
        (Phase::Applying, applied, Phase::Verifying, "-"),
        (Phase::Verifying, soaked, Phase::Pruning, "prune of 1.5.0 and 1.4.0, keep 1.5.0"),
        (Phase::Pruning, done, Phase::Available, "retain 1.5.0 as current, 1.4.0 as previous"),
    ];
    for (from, turn, to, action) in rows {
        turn(Scene::upgrading(from)).is(to).does(action);
    }
}

#[test]
fn nothing_begins_before_the_finalizer_is_on() {
    let mut scene = Scene::new();
    scene.seen.finalizer = false;
    let scene = scene.assign("1.4.0").is(Phase::Pending).does("hold");
    scene.done().is(Phase::Pulling).does("pull");
}

#[test]
fn stages_are_applied_in_order() {
    let mut scene = Scene::upgrading(Phase::Applying);
    for stage in Stage::ALL {
        scene = scene.does(&format!("apply 1.5.0: {stage:?}")).done();
    }
    scene.is(Phase::Verifying).does("-");
}

#[test]
fn a_refusal_in_any_phase_leads_where_the_diagram_says() {
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
        if to == phase { scene.refused(reason) } else { scene.refused_for_good(reason) }.is(to);
    }
}

/// What is given up stays for good, and the one refusal may have been a moment's.
#[test]
fn what_may_not_be_removed_is_tried_for_about_a_minute() {
    let mut scene = Scene::upgrading(Phase::Pruning);
    for rest in [1, 2, 4, 8, 16, 30, 30] {
        scene = scene.refused(Reason::Forbidden).is(Phase::Pruning).rests(rest);
    }
    let scene = scene.refused(Reason::Forbidden).is(Phase::Available);
    assert!(scene.message().contains("could not be removed"), "{}", scene.message());
}

/// A 403 or 404 may be a moment's too: rights that are given again, a definition that is being changed.
#[test]
fn one_refusal_that_the_environment_can_mend_decides_nothing() {
    for (phase, rests) in [(Phase::Checking, &[1, 2][..]), (Phase::Applying, &[1, 2, 4, 8, 16])] {
        for reason in [Reason::Forbidden, Reason::NamespaceMissing, Reason::UnknownKind] {
            let mut scene = Scene::upgrading(phase);
            let action = scene.described();
            for rest in rests {
                scene = scene.refused(reason).is(phase).does("-").rests(*rest).does(&action);
            }
            scene.clone().settled().is(Phase::Available);
            assert_ne!(scene.refused(reason).because(reason).rollout.phase(), phase);
        }
    }
}

#[test]
fn what_the_bundle_is_refused_for_counts_at_once() {
    Scene::upgrading(Phase::Checking).refused(Reason::ObjectRefused).is(Phase::Rejected);
    Scene::upgrading(Phase::Applying).refused(Reason::ObjectRefused).is(Phase::RollingBack);
}

#[test]
fn an_operation_is_shown_from_its_beginning_to_its_end() {
    let scene = Scene::new().assign("1.4.0").shows_operation("Install InProgress");
    let scene = scene.settled().shows_operation("Install Succeeded").runs("1.4.0", "-");
    let scene = scene.because(Reason::InstallSucceeded).conditions("Ready Verified");
    let scene = scene.assign("1.5.0").shows_operation("Upgrade InProgress").runs("1.4.0", "-");
    let scene = scene.conditions("Reconciling").until(Phase::Verifying).runs("1.4.0", "-");
    let scene = scene.settled().shows_operation("Upgrade Succeeded").runs("1.5.0", "1.4.0");
    scene.remembers(&[
        "2 Upgrade 1.5.0 Succeeded UpgradeSucceeded",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
}

// At rest

#[test]
fn what_is_not_well_at_rest_is_shown_and_changes_nothing_else() {
    let unwell = |mut scene: Scene| {
        let before = scene.saved.clone();
        scene.beside.unwell = Some("Deployment a/b: 0 of 1".to_owned());
        let scene = scene.look().does("-");
        let shown = |status: &ManagedAddOnStatus| ManagedAddOnStatus {
            conditions: Vec::new(),
            ..status.clone()
        };
        assert_eq!(shown(&scene.saved), shown(&before));
        scene
    };
    let told = |scene: &Scene, kind: &str| {
        let mut all = scene.saved.conditions.iter();
        let it = all.find(|condition| condition.type_ == kind).expect("a condition");
        format!("{} {}: {}", it.status, it.reason, it.message)
    };
    let available = unwell(Scene::available("1.4.0")).conditions("Degraded Verified");
    for kind in ["Degraded", "Ready"] {
        let status = if kind == "Ready" { "False" } else { "True" };
        let expected = format!("{status} RunningUnhealthy: Deployment a/b: 0 of 1");
        assert_eq!(told(&available, kind), expected);
    }
    let back = unwell(Scene::rolled_back()).conditions("Stalled Degraded Verified");
    assert_eq!(told(&back, "Degraded"), "True RunningUnhealthy: Deployment a/b: 0 of 1");
    assert_eq!(told(&back, "Ready"), "False Unhealthy: back at 1.4.0: crash loop");
    let well = Scene::available("1.4.0");
    assert_eq!(told(&well, "Degraded"), "False InstallSucceeded: ");
    let verified = "True DigestVerified: the bundle is what its digest says";
    assert_eq!(told(&well, "Verified"), verified);
    let refused = unwell(Scene::available("1.4.0").unreadable()).conditions("Stalled Degraded");
    // Another version is on its way, and what is known is of the one before.
    refused.assign("1.5.0").is(Phase::Pulling).conditions("Reconciling");
}

#[test]
fn drift_is_shown_at_rest_only() {
    let mut scene = Scene::available("1.4.0");
    scene.beside.drifted = Some(lifecycle::running::Drifted {
        drifted: true,
        reason: "Contested",
        message: "ConfigMap a/b".to_owned(),
    });
    let scene = scene.look().is(Phase::Available).conditions("Ready Verified Drifted");
    scene.assign("1.5.0").is(Phase::Pulling).conditions("Reconciling");
}

// Passing faults and patience

#[test]
fn a_passing_fault_is_tried_again_after_a_growing_rest() {
    let mut scene = Scene::upgrading(Phase::Pulling);
    for rest in [1, 2, 4, 8, 16, 30, 30] {
        scene = scene.passing(Reason::PullFailed).is(Phase::Pulling).does("-");
        assert_eq!(scene.wake, Some(Duration::from_secs(rest)));
        assert_eq!(scene.message(), "not at the moment");
        scene = scene.rests(rest - 1).does("-").rests(1).does("pull");
    }
    let scene = scene.done().is(Phase::Staging).does("stage");
    assert_eq!(scene.message(), "", "what is over is not told any more");
}

#[test]
fn jitter_shortens_a_rest_to_half_at_most() {
    let mut scene = Scene::upgrading(Phase::Pulling);
    scene.seen.jitter = 0.0;
    assert_eq!(scene.passing(Reason::PullFailed).wake, Some(Duration::from_millis(500)));
}

#[test]
fn a_pull_that_keeps_failing_in_passing_counts_as_refused_by_the_environment() {
    let mut scene = Scene::upgrading(Phase::Pulling);
    for _ in 0..10 {
        scene = scene.passing(Reason::PullFailed).is(Phase::Pulling).rests(30);
    }
    let scene = scene.passing(Reason::PullFailed).is(Phase::Rejected).because(Reason::PullFailed);
    let scene = scene.rests(7 * MINUTES).does("pull").done().is(Phase::Pulling);
    scene.settled().is(Phase::Available).runs("1.5.0", "1.4.0");
}

#[test]
fn a_check_that_the_api_server_cannot_finish_is_refused_after_half_a_minute() {
    let mut scene = Scene::upgrading(Phase::Checking);
    // The tries and the rests between them count alike.
    for _ in 0..3 {
        scene.seen.elapsed = Duration::from_secs(3);
        scene = scene.passing(Reason::CheckFailed).is(Phase::Checking).rests(4);
    }
    scene.seen.elapsed = Duration::from_secs(9);
    let scene =
        scene.passing(Reason::ObjectRefused).is(Phase::Rejected).because(Reason::CheckFailed);
    scene.rests(7 * MINUTES).does("check 1.5.0 from 1.4.0");
}

#[test]
fn applying_is_tried_again_until_the_time_is_over() {
    let scene = Scene::upgrading(Phase::Applying).done().passing(Reason::ApplyFailed);
    let scene = scene.is(Phase::Applying).rests(14 * MINUTES).does("apply 1.5.0: Definitions");
    let scene = scene.passing(Reason::ApplyFailed).is(Phase::Applying).rests(MINUTES);
    let scene = scene.does("apply 1.5.0: Definitions").passing(Reason::ApplyFailed);
    let scene = scene.is(Phase::RollingBack).because(Reason::TimedOut);
    assert_eq!(scene.message(), "not everything could be applied: not at the moment");
}

#[test]
fn time_alone_does_not_end_an_apply_that_was_interrupted() {
    let scene = Scene::upgrading(Phase::Applying).rests(20 * MINUTES).restart();
    scene.is(Phase::Applying).does("apply 1.5.0: Namespaces");
}

#[test]
fn what_no_phase_waits_for_is_not_done_again_at_once() {
    let mut pending = Scene::new();
    pending.seen.finalizer = false;
    let pending = pending.assign("1.4.0").does("hold").passing(Reason::CheckFailed).does("-");
    pending.rests(1).does("hold").done().is(Phase::Pulling);

    let tidying = Scene::upgrading(Phase::Pruning).done().is(Phase::Available);
    let tidying = tidying.does("retain 1.5.0 as current, 1.4.0 as previous");
    let tidying = tidying.passing(Reason::RetainFailed).is(Phase::Available).does("-");
    let tidying = tidying.rests(1).refused(Reason::RetainFailed).does("-").rests(1).does("-");
    tidying.rests(1).does("retain 1.5.0 as current, 1.4.0 as previous").done().does("-");
}

#[test]
fn outcomes_that_nobody_waits_for_change_nothing() {
    let strays = [
        Outcome::Held,
        Outcome::Retained,
        Outcome::Released,
        Outcome::Removed { left: Vec::new() },
        Outcome::Applied(Stage::Extensions),
    ];
    for phase in [Phase::Pulling, Phase::Staging, Phase::Checking, Phase::Applying, Phase::Pruning]
    {
        for stray in &strays {
            let scene = Scene::upgrading(phase);
            let state = scene.rollout.state.clone();
            let scene = scene.ends(Some(stray.clone())).is(phase).does("-");
            assert_eq!(scene.rollout.state, state);
        }
    }
}

#[test]
fn leftovers_that_cannot_be_pruned_are_told_but_fail_nothing() {
    let scene = Scene::upgrading(Phase::Pruning).left("ConfigMap a/b").is(Phase::Pruning);
    assert_eq!(scene.message(), "waiting for ConfigMap a/b to be gone");
    let scene = scene.never_gone("ConfigMap a/b").is(Phase::Available);
    assert_eq!(scene.message(), "1.5.0 is available; could not be removed: ConfigMap a/b");
    let scene = Scene::upgrading(Phase::Pruning).passing(Reason::ApplyFailed).is(Phase::Pruning);
    scene.rests(2 * MINUTES).passing(Reason::ApplyFailed).is(Phase::Available);
}

// Health and soak

#[test]
fn health_is_looked_at_once_a_second() {
    let scene = Scene::upgrading(Phase::Verifying);
    assert_eq!(scene.wake, Some(Duration::ZERO), "at once when it begins");
    for scene in
        [scene.healthy(1), rolling_back().until_back(Back::Verify { healthy: None }).healthy(1)]
    {
        assert_eq!(scene.wake, Some(Duration::from_secs(1)));
    }
}

#[test]
fn a_break_in_health_begins_the_soak_anew() {
    let scene = Scene::upgrading(Phase::Verifying).healthy(30).awaited(1).healthy(30);
    scene.is(Phase::Verifying).healthy(1).is(Phase::Pruning);
}

#[test]
fn a_soak_is_not_over_because_nobody_looked() {
    let scene = Scene::upgrading(Phase::Verifying).awaited(1);
    let mut scene = scene.rests(0);
    // The first look that sees it speaks for no time before, each later one for five seconds.
    for _ in 0..6 {
        scene.seen.verdict = Some(Verdict::Healthy);
        scene = scene.rests(10 * MINUTES).is(Phase::Verifying);
    }
    scene.seen.verdict = Some(Verdict::Healthy);
    scene.rests(10 * MINUTES).is(Phase::Pruning);
}

#[test]
fn an_object_may_say_for_a_moment_that_it_failed() {
    let failed = || Verdict::Failed("crash loop".to_owned());
    let scene = Scene::upgrading(Phase::Verifying).shows(failed(), 9).is(Phase::Verifying);
    let scene = scene.awaited(1).shows(failed(), 9).is(Phase::Verifying).shows(failed(), 1);
    scene.is(Phase::RollingBack).because(Reason::Unhealthy);
}

#[test]
fn what_does_not_become_healthy_in_time_is_rolled_back() {
    let scene = Scene::upgrading(Phase::Verifying).awaited(15 * MINUTES);
    let scene = scene.is(Phase::RollingBack).because(Reason::TimedOut);
    assert_eq!(scene.message(), "not healthy in time: 3 of 5 pods");
}

#[test]
fn what_cannot_be_judged_in_time_is_rolled_back() {
    let scene = Scene::upgrading(Phase::Verifying).unjudged(14 * MINUTES).is(Phase::Verifying);
    scene.unjudged(MINUTES).is(Phase::RollingBack).because(Reason::TimedOut);
}

#[test]
fn time_in_which_nobody_looked_is_not_counted_against_health() {
    let away = |scene: Scene| {
        let mut scene = scene;
        scene.seen.verdict = Some(Verdict::Awaited("a pod".to_owned()));
        scene.rests(60 * MINUTES)
    };
    let scene = away(away(Scene::upgrading(Phase::Verifying))).is(Phase::Verifying);
    assert_eq!(scene.rollout.spent(), Duration::from_secs(10));
    let verify = rolling_back().until_back(Back::Verify { healthy: None });
    away(verify).is(Phase::RollingBack).settled().is(Phase::RolledBack);
}

// Hooks

fn unproved(begun: bool) -> Verdict {
    Verdict::Unproved { what: "Job a/smoke".to_owned(), begun }
}

#[test]
fn what_verifies_runs_once_all_is_healthy_and_the_soak_comes_after() {
    let scene = Scene::upgrading(Phase::Verifying).healthy(30).shows(unproved(false), 1);
    let scene = scene.does("hook 1.5.0: verify").hooked(Ran::NotYet("Job a/smoke".into()));
    let scene = scene.is(Phase::Verifying).shows(unproved(true), 60).does("-");
    assert_eq!(scene.message(), "healthy; verifying: waiting for Job a/smoke");
    scene.is(Phase::Verifying).healthy(1).is(Phase::Pruning);
}

#[test]
fn a_failed_verification_fails_the_rollout_and_one_without_end_times_out() {
    let scene = Scene::upgrading(Phase::Verifying).shows(unproved(false), 1).done();
    scene.broken().is(Phase::RollingBack).because(Reason::Unhealthy);
    let scene = Scene::upgrading(Phase::Verifying).shows(unproved(true), 15 * MINUTES);
    let scene = scene.is(Phase::RollingBack).because(Reason::TimedOut);
    assert_eq!(scene.message(), "not verified in time: Job a/smoke");
    let scene = Scene::upgrading(Phase::Verifying).shows(unproved(false), 1);
    let scene = scene.does("hook 1.5.0: verify").refused(Reason::Forbidden);
    scene.is(Phase::RollingBack).because(Reason::Forbidden);
}

#[test]
fn what_prepares_an_upgrade_runs_between_check_and_first_write() {
    let scene = Scene::upgrading(Phase::Checking).with_hooks().done().is(Phase::Checking);
    let scene = scene.does("hook 1.5.0: pre-upgrade").hooked(Ran::NotYet("Job a/dump".into()));
    assert_eq!(scene.message(), "waiting for Job a/dump");
    let scene = scene.rests(1).does("hook 1.5.0: pre-upgrade").restart().rests(1);
    let scene = scene.does("hook 1.5.0: pre-upgrade").done().is(Phase::Applying);
    scene.does("apply 1.5.0: Namespaces");
}

#[test]
fn a_failed_preparation_refuses_the_upgrade_before_its_first_write() {
    let preparing = || Scene::upgrading(Phase::Checking).with_hooks().done();
    let scene = preparing().hooked(Ran::Badly("Job a/dump: no room".into()));
    let scene = scene.is(Phase::Rejected).because(Reason::HookFailed).runs("1.4.0", "-");
    assert_eq!(scene.message(), "a hook before the upgrade failed: Job a/dump: no room");
    assert_eq!(scene.rollout.touched, []);
    let scene = scene.restart().does("evidence of 1.5.0").done().is(Phase::Rejected);
    let kept = scene.rollout.history[0].evidence.clone();
    assert_eq!(kept.as_deref(), Some("evidence-add-on-2"));
    let scene = scene.does("retain 1.4.0 as current").done().rests(60 * MINUTES).does("-");
    scene.retry("1").is(Phase::Pulling);
    // It is tried once.
    let lost = preparing().hooked(Ran::Badly("Job a/dump".into())).refused(Reason::Forbidden);
    let lost = lost.is(Phase::Rejected).because(Reason::HookFailed).does("retain 1.4.0 as current");
    assert_eq!(lost.rollout.history[0].evidence, None);

    let mut scene = preparing();
    while scene.rollout.phase() == Phase::Checking {
        let waits = Ran::NotYet("Job a/dump to end".into());
        scene = if scene.action.is_some() { scene.hooked(waits) } else { scene.rests(30) };
    }
    let scene = scene.is(Phase::Rejected).because(Reason::HookFailed).does("evidence of 1.5.0");
    assert!(scene.message().contains("took too long"), "{}", scene.message());
}

#[test]
fn neither_an_install_nor_a_way_back_runs_what_prepares_an_upgrade() {
    Scene::new().with_hooks().assign("1.4.0").until(Phase::Checking).done().is(Phase::Applying);
    let scene = Scene::upgrading(Phase::Available).settled().with_hooks().assign("1.4.0");
    let scene = scene.until(Phase::Checking).done().is(Phase::Applying);
    // Nor is it verified again.
    let scene = scene.until(Phase::Verifying).shows(unproved(false), 1).does("-");
    assert!(scene.rollout.proves().is_none());
    assert!(rolling_back().rollout.proves().is_none());
    assert!(Scene::upgrading(Phase::Verifying).rollout.proves().is_some());
}

#[test]
fn a_preparation_can_be_paused_before_and_replaced_while_it_runs() {
    let scene = Scene::upgrading(Phase::Checking).with_hooks().pause().done();
    scene.is(Phase::Waiting).because(Reason::Paused);
    let scene = Scene::upgrading(Phase::Checking).with_hooks().done().assign("1.6.0");
    scene.is(Phase::Pulling).does("pull");
    let scene = Scene::upgrading(Phase::Checking).with_hooks().done().assign("1.4.0");
    scene.is(Phase::Available).runs("1.4.0", "-");
}

/// What is half there cannot stay: the third version was to take its place.
#[test]
fn a_failed_preparation_in_mid_rollout_goes_back() {
    let scene = Scene::upgrading(Phase::Applying).done().with_hooks().assign("1.6.0");
    let scene = scene.until(Phase::Checking).done().does("hook 1.6.0: pre-upgrade");
    scene.hooked(Ran::Badly("Job a/dump".into())).is(Phase::RollingBack);
}

// What was not whole before

fn ill(name: &str) -> Vec<Ill> {
    let key = lifecycle::ObjectKey {
        group: "apps".to_owned(),
        kind: "DaemonSet".to_owned(),
        namespace: Some("n".to_owned()),
        name: name.to_owned(),
    };
    vec![Ill { key, missing: 1 }]
}

#[test]
fn how_it_stood_before_is_remembered_from_the_check_to_the_end() {
    let mut scene = Scene::upgrading(Phase::Checking);
    scene.report.before = ill("a");
    let mut scene = scene.done().is(Phase::Applying);
    assert_eq!(scene.rollout.before, ill("a"));
    // A third version in mid-rollout is still measured by what ran before the first write.
    scene.report.before = ill("b");
    let scene = scene.done().assign("1.6.0").until(Phase::Verifying).restart();
    assert_eq!(scene.rollout.before, ill("a"));
    let back = scene.broken().is(Phase::RollingBack);
    assert_eq!(back.rollout.before, ill("a"));
    assert_eq!(back.settled().rollout.before, []);
}

#[test]
fn what_is_no_worse_than_before_is_told_with_the_success() {
    let mut scene = Scene::upgrading(Phase::Checking);
    scene.report.before = ill("a");
    let but = || Verdict::HealthyBut("DaemonSet n/a: 1 of 2 pods; it was so before".to_owned());
    let scene = scene.until(Phase::Verifying).shows(but(), 30).is(Phase::Verifying);
    let told =
        "healthy; watching whether it stays so; but DaemonSet n/a: 1 of 2 pods; it was so before";
    assert_eq!(scene.message(), told);
    let scene = scene.shows(but(), 1).is(Phase::Pruning).restart().done().is(Phase::Available);
    let told = "1.5.0 is available; but DaemonSet n/a: 1 of 2 pods; it was so before";
    assert_eq!(scene.message(), told);
    assert_eq!(scene.rollout.before, []);
}

// Rolling back

#[test]
fn a_broken_upgrade_goes_back_in_order_and_ends_in_rolled_back() {
    let scene = Scene::upgrading(Phase::Verifying).broken().is(Phase::RollingBack);
    let scene =
        scene.shows_operation("Rollback InProgress").conditions("Reconciling Degraded Verified");
    let scene = scene.does("evidence of 1.5.0").done();
    let mut scene = scene.does("prune extensions of 1.5.0, keep 1.4.0").done();
    for stage in Stage::ALL {
        scene = scene.does(&format!("apply 1.4.0 again: {stage:?}")).done();
    }
    let scene = scene.does("-").healthy(31).does("prune of 1.5.0, keep 1.4.0").done();
    let scene = scene.is(Phase::RolledBack).shows_operation("Rollback Succeeded");
    let scene = scene.because(Reason::Unhealthy).runs("1.4.0", "-");
    assert_eq!(scene.message(), "back at 1.4.0: crash loop");
    let scene = scene.conditions("Stalled Degraded Verified").does("retain 1.4.0 as current");
    scene.remembers(&[
        "3 Rollback 1.4.0 Succeeded RollbackSucceeded",
        "2 Upgrade 1.5.0 Failed Unhealthy",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
}

#[test]
fn a_rollback_goes_to_what_last_was_available_not_to_the_one_before() {
    let scene = Scene::upgrading(Phase::Available).settled().runs("1.5.0", "1.4.0").assign("1.6.0");
    let scene = scene.until(Phase::Verifying).broken().done().done();
    let scene = scene.does("apply 1.5.0 again: Namespaces").settled().is(Phase::RolledBack);
    scene.runs("1.5.0", "1.4.0");
}

#[test]
fn a_failed_release_is_not_tried_again_by_itself() {
    let scene = Scene::rolled_back().rests(60 * MINUTES).restart().is(Phase::RolledBack).does("-");
    let scene = scene.policy(|policy| policy.soak = Duration::ZERO).is(Phase::RolledBack);
    scene.kubernetes("1.32.0").is(Phase::RolledBack).does("-");
}

#[test]
fn a_retry_tries_a_failed_release_again() {
    let scene = Scene::rolled_back().retry("1").is(Phase::Pulling);
    let scene = scene.shows_operation("Upgrade InProgress").until(Phase::Verifying).broken();
    scene.until(Phase::RolledBack).settled().is(Phase::RolledBack);
}

#[test]
fn another_assignment_after_a_rollback_begins() {
    let scene = Scene::rolled_back().assign("1.6.0").is(Phase::Pulling);
    let scene =
        scene.settled().runs("1.6.0", "1.4.0").assign("1.5.0").because(Reason::DowngradeNotAllowed);
    scene.is(Phase::Rejected);
}

#[test]
fn the_assignment_may_come_back_to_what_runs_after_a_rollback() {
    let scene = Scene::rolled_back().assign("1.4.0").is(Phase::Available).does("-");
    let scene = scene.shows_operation("Rollback Succeeded").because(Reason::ReturnRequested);
    scene.conditions("Ready Verified").runs("1.4.0", "-");
}

#[test]
fn evidence_is_kept_before_the_first_write_of_the_way_back() {
    let failed = || Scene::upgrading(Phase::Verifying).broken().does("evidence of 1.5.0");
    let evidence = |scene: &Scene, at: usize| scene.rollout.history[at].evidence.clone();
    let scene = failed().restart().does("evidence of 1.5.0").settled().is(Phase::RolledBack);
    assert_eq!(evidence(&scene, 1).as_deref(), Some("evidence-add-on-2"));
    // It holds nothing up: it is tried once.
    let lost = [
        failed().refused(Reason::Forbidden),
        failed().passing(Reason::CheckFailed),
        failed().missing(),
        failed().restart().restart().restart(),
    ];
    for scene in lost {
        let scene = scene.does("prune extensions of 1.5.0, keep 1.4.0").settled();
        assert_eq!(evidence(&scene.is(Phase::RolledBack), 1), None);
    }
}

#[test]
fn evidence_is_kept_of_whatever_failed_after_its_first_write() {
    let evidence = |scene: &Scene| scene.rollout.history[0].evidence.clone();
    let held = Scene::held().settled().is(Phase::Failed);
    assert_eq!(evidence(&held).as_deref(), Some("evidence-add-on-2"));
    let first = Scene::new().assign("1.4.0").until(Phase::Verifying).broken().settled();
    assert_eq!(evidence(&first.is(Phase::Failed)).as_deref(), Some("evidence-add-on-1"));
    let raw = Scene::available("1.4.0").policy(hold).assign("1.5.0").until(Phase::Verifying);
    let ended = raw.broken().does("evidence of 1.5.0").restart().restart().restart().does("-");
    assert_eq!(evidence(&ended.is(Phase::Failed).settled()), None);
    let back = rolling_back().done().missing().does("evidence of 1.4.0").settled();
    assert_eq!(evidence(&back.is(Phase::Failed)).as_deref(), Some("evidence-add-on-3"));
    // What nobody reported as broken leaves none, and a deletion waits for none.
    let asked = Scene::upgrading(Phase::Verifying).assign("1.4.0");
    asked.does("prune extensions of 1.5.0, keep 1.4.0");
    let deleted = Scene::upgrading(Phase::Verifying).broken().delete(Deletion::Uninstall);
    deleted.does("remove 1.4.0 and 1.5.0");
}

#[test]
fn a_running_rollback_finishes_whatever_is_asked_meanwhile() {
    let scene = rolling_back().pause().slot(false).is(Phase::RollingBack);
    let scene = scene.unreadable().policy(hold).done().is(Phase::RollingBack);
    let scene = scene.assign("1.6.0").until(Phase::RolledBack).look().is(Phase::Waiting);
    scene.resume().slot(true).settled().is(Phase::Available).runs("1.6.0", "1.4.0");
}

#[test]
fn what_is_asked_during_a_rollback_is_looked_at_when_it_ends() {
    let scene = rolling_back().assign("1.6.0").until(Phase::RolledBack);
    assert!(scene.action.is_some() || scene.wake == Some(Duration::ZERO));
    scene.settled().is(Phase::Available).runs("1.6.0", "1.4.0");
}

#[test]
fn a_retry_during_a_rollback_tries_again_when_it_ends() {
    let scene = rolling_back().retry("1").is(Phase::RollingBack).until(Phase::RolledBack);
    scene.settled().is(Phase::Available).runs("1.5.0", "1.4.0");
}

#[test]
fn a_retry_before_the_failure_asks_for_nothing_after_it() {
    let scene = Scene::upgrading(Phase::Verifying).retry("1").is(Phase::Verifying).broken();
    scene.until(Phase::RolledBack).settled().is(Phase::RolledBack).retry("2").is(Phase::Pulling);
}

#[test]
fn a_rollback_uses_the_policy_in_force() {
    let scene = rolling_back().until_back(Back::Verify { healthy: None });
    let scene = scene.policy(|policy| policy.soak = Duration::from_secs(3)).healthy(4);
    scene.does("prune of 1.5.0, keep 1.4.0");
}

#[test]
fn a_rollback_that_does_not_succeed_in_time_fails() {
    let stuck = rolling_back().refused(Reason::Forbidden).rests(15 * MINUTES);
    let stuck = stuck.refused(Reason::Forbidden).is(Phase::Failed).because(Reason::RollbackFailed);
    stuck.conditions("Stalled Degraded Verified").shows_operation("Rollback Failed");
    let verify = || rolling_back().until_back(Back::Verify { healthy: None });
    verify().broken().is(Phase::RollingBack).awaited(15 * MINUTES).is(Phase::Failed);
    verify().unjudged(15 * MINUTES).is(Phase::Failed);
}

#[test]
fn a_rollback_whose_release_is_gone_fails() {
    let scene = rolling_back().done().does("apply 1.4.0 again: Namespaces").missing();
    scene.is(Phase::Failed).because(Reason::RollbackFailed);
}

#[test]
fn a_way_back_whose_release_is_gone_is_pulled_when_it_is_what_is_asked() {
    let failed = rolling_back().done().missing().is(Phase::Failed).does("evidence of 1.4.0");
    let mut scene = failed.done().assign("1.4.0");
    scene.seen.retained.retain(|kept| kept.release.version.minor != 4);
    let scene = scene.missing().is(Phase::Failed).because(Reason::RollbackFailed);
    let scene = scene.done().retry("again").is(Phase::Pulling).does("pull").settled();
    scene.is(Phase::Available).runs("1.4.0", "-").does("-");
}

#[test]
fn leftovers_of_a_failed_release_whose_secret_is_gone_do_not_fail_the_rollback() {
    let scene = rolling_back().until_back(Back::Prune).missing().is(Phase::RolledBack);
    assert!(scene.message().contains("could not be removed"), "{}", scene.message());
}

#[test]
fn a_failed_rollback_is_left_by_retry_return_or_another_version() {
    let failed = || rolling_back().done().missing().settled().is(Phase::Failed);
    failed().rests(60 * MINUTES).is(Phase::Failed);
    failed().retry("1").is(Phase::Checking).settled().runs("1.5.0", "1.4.0");
    failed()
        .assign("1.4.0")
        .is(Phase::RollingBack)
        .settled()
        .is(Phase::Available)
        .runs("1.4.0", "-");
    failed().assign("1.6.0").settled().is(Phase::Available).runs("1.6.0", "1.4.0");
}

// A first install that fails

#[test]
fn a_failed_first_install_removes_what_it_made() {
    let scene =
        Scene::new().assign("1.4.0").until(Phase::Verifying).broken().is(Phase::RollingBack);
    let scene = scene.shows_operation("Install InProgress").does("evidence of 1.4.0").done();
    let scene = scene.does("prune of 1.4.0, keep nothing");
    let scene = scene.done().is(Phase::Failed).shows_operation("Install Failed").runs("-", "-");
    let scene =
        scene.does("retain nothing").settled().remembers(&["1 Install 1.4.0 Failed Unhealthy"]);
    let scene = scene.rests(60 * MINUTES).is(Phase::Failed).retry("1").is(Phase::Pulling);
    scene.shows_operation("Install InProgress").settled().runs("1.4.0", "-");
}

#[test]
fn a_failed_first_install_is_left_by_another_version() {
    let scene = Scene::new().assign("1.4.0").until(Phase::Verifying).broken().until(Phase::Failed);
    scene.assign("1.5.0").shows_operation("Install InProgress").settled().runs("1.5.0", "-");
}

#[test]
fn a_first_install_is_refused_like_any_other() {
    let scene = Scene::new().assign("1.4.0").until(Phase::Checking);
    let scene = scene.refused_for_good(Reason::Forbidden);
    scene.is(Phase::Rejected).shows_operation("Install Failed").runs("-", "-");
}

// onFailure: Hold

#[test]
fn with_hold_a_failed_upgrade_stays_where_it_is() {
    let scene = Scene::held().shows_operation("Upgrade Failed").runs("1.4.0", "-");
    let scene = scene.does("-").settled();
    let scene = scene
        .conditions("Stalled Degraded Verified")
        .policy(|it| it.on_failure = OnFailure::Rollback);
    scene.is(Phase::Failed).rests(60 * MINUTES).is(Phase::Failed).does("-");
}

#[test]
fn what_was_held_is_left_by_retry_return_or_another_version() {
    Scene::held().settled().retry("1").is(Phase::Checking).settled().runs("1.5.0", "1.4.0");
    let back = Scene::held().settled().assign("1.4.0").is(Phase::RollingBack);
    back.does("prune extensions of 1.5.0, keep 1.4.0")
        .settled()
        .is(Phase::Available)
        .runs("1.4.0", "-");
    let on = Scene::held().settled().assign("1.6.0").until(Phase::Pruning);
    let on = on.does("prune of 1.5.0 and 1.6.0 and 1.4.0, keep 1.6.0").settled();
    on.runs("1.6.0", "1.4.0");
}

#[test]
fn a_refused_assignment_after_hold_is_rejected_and_still_degraded() {
    let scene = Scene::held().settled().policy(|policy| policy.upgrades = Upgrades::None);
    let scene = scene.is(Phase::Failed).assign("1.6.0").is(Phase::Rejected);
    let scene = scene.because(Reason::UpgradeNotAllowed).conditions("Stalled Degraded");
    let scene = scene.does("-").assign("1.4.0").settled().is(Phase::Available);
    scene.conditions("Ready Verified").remembers(&[
        "4 Rollback 1.4.0 Succeeded RollbackSucceeded",
        "3 Upgrade 1.6.0 Failed UpgradeNotAllowed",
        "2 Upgrade 1.5.0 Failed Unhealthy",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
}

#[test]
fn the_policy_at_the_time_of_failure_decides() {
    let held = Scene::upgrading(Phase::Verifying).policy(hold).is(Phase::Verifying).broken();
    held.is(Phase::Failed);
    let scene = Scene::available("1.4.0").policy(hold).assign("1.5.0").until(Phase::Verifying);
    scene.policy(|policy| policy.on_failure = OnFailure::Rollback).broken().is(Phase::RollingBack);
}

// A new assignment

#[test]
fn before_the_first_write_a_new_assignment_takes_the_place() {
    for phase in [Phase::Pulling, Phase::Staging, Phase::Checking] {
        let scene = Scene::upgrading(phase).assign("1.6.0").is(Phase::Pulling);
        let scene = scene.shows_operation("Upgrade InProgress").until(Phase::Pruning);
        let scene = scene.does("prune of 1.6.0 and 1.4.0, keep 1.6.0").settled();
        scene.runs("1.6.0", "1.4.0").remembers(&[
            "3 Upgrade 1.6.0 Succeeded UpgradeSucceeded",
            "2 Upgrade 1.5.0 Failed Superseded",
            "1 Install 1.4.0 Succeeded InstallSucceeded",
        ]);
    }
}

#[test]
fn before_the_first_write_going_back_is_done_at_once() {
    for phase in [Phase::Pulling, Phase::Staging, Phase::Checking] {
        let scene = Scene::upgrading(phase).assign("1.4.0").is(Phase::Available).runs("1.4.0", "-");
        scene.remembers(&[
            "3 Rollback 1.4.0 Succeeded ReturnRequested",
            "2 Upgrade 1.5.0 Failed Superseded",
            "1 Install 1.4.0 Succeeded InstallSucceeded",
        ]);
    }
}

#[test]
fn in_mid_rollout_a_third_version_becomes_the_target_in_place() {
    for phase in [Phase::Applying, Phase::Verifying, Phase::Pruning] {
        let scene = Scene::upgrading(phase).assign("1.6.0").is(Phase::Pulling).runs("1.4.0", "-");
        let scene = scene.until(Phase::Pruning);
        let scene = scene.does("prune of 1.5.0 and 1.6.0 and 1.4.0, keep 1.6.0").settled();
        let scene = scene.runs("1.6.0", "1.4.0");
        assert_eq!(scene.rollout.history[1].reason, "Superseded");
    }
}

#[test]
fn a_third_version_that_fails_goes_back_to_what_last_was_available() {
    let to_third = || Scene::upgrading(Phase::Applying).assign("1.6.0");
    let scene = to_third().until(Phase::Verifying).broken().is(Phase::RollingBack);
    let scene = scene.does("evidence of 1.6.0").done();
    let scene = scene.does("prune extensions of 1.5.0 and 1.6.0, keep 1.4.0").settled();
    scene.is(Phase::RolledBack).runs("1.4.0", "-");
    // What is half there cannot stay because the third version is refused.
    for phase in [Phase::Pulling, Phase::Staging, Phase::Checking] {
        let scene = to_third().until(phase).refused_for_good(Reason::Forbidden);
        scene.is(Phase::RollingBack).settled().is(Phase::RolledBack).because(Reason::Forbidden);
    }
}

#[test]
fn in_mid_rollout_going_back_rolls_back_at_once() {
    for phase in [Phase::Applying, Phase::Verifying, Phase::Pruning] {
        let scene = Scene::upgrading(phase).assign("1.4.0").is(Phase::RollingBack);
        let scene =
            scene.does("prune extensions of 1.5.0, keep 1.4.0").conditions("Reconciling Verified");
        let scene =
            scene.settled().is(Phase::Available).runs("1.4.0", "-").conditions("Ready Verified");
        scene.remembers(&[
            "3 Rollback 1.4.0 Succeeded RollbackSucceeded",
            "2 Upgrade 1.5.0 Failed ReturnRequested",
            "1 Install 1.4.0 Succeeded InstallSucceeded",
        ]);
    }
}

#[test]
fn going_back_from_the_third_version_covers_all_that_was_touched() {
    for phase in [Phase::Pulling, Phase::Staging, Phase::Checking] {
        let scene = Scene::upgrading(Phase::Applying).assign("1.6.0").until(phase).assign("1.4.0");
        scene.is(Phase::RollingBack).does("prune extensions of 1.5.0, keep 1.4.0");
    }
    let scene = Scene::upgrading(Phase::Applying).assign("1.6.0").until(Phase::Applying);
    scene.assign("1.4.0").does("prune extensions of 1.5.0 and 1.6.0, keep 1.4.0");
}

#[test]
fn in_mid_rollout_an_assignment_that_cannot_be_followed_waits_for_the_end() {
    for phase in [Phase::Applying, Phase::Verifying, Phase::Pruning] {
        let minor = |policy: &mut Policy| policy.upgrades = Upgrades::Minor;
        let scene = Scene::available("1.4.0").policy(minor).assign("1.5.0").until(phase);
        let scene = scene.assign("2.0.0").is(phase).until(Phase::Available).runs("1.5.0", "1.4.0");
        scene.settled().is(Phase::Rejected).because(Reason::UpgradeNotAllowed);
    }
}

#[test]
fn in_a_first_install_another_version_becomes_the_target_in_place() {
    let scene = Scene::new().assign("1.4.0").until(Phase::Verifying).assign("1.5.0");
    let scene = scene.shows_operation("Install InProgress").until(Phase::Verifying).broken();
    scene.done().does("prune of 1.4.0 and 1.5.0, keep nothing").settled().is(Phase::Failed);
}

#[test]
fn a_release_that_is_retained_is_not_pulled() {
    let scene = Scene::upgrading(Phase::Available).settled().assign("1.4.0").is(Phase::Checking);
    scene.does("check 1.4.0 from 1.5.0");
}

#[test]
fn a_policy_only_change_starts_nothing() {
    let scene = Scene::available("1.4.0").policy(hold).is(Phase::Available).does("-");
    let scene = scene.shows_operation("Install Succeeded").assign("1.5.0").until(Phase::Applying);
    let state = scene.rollout.state.clone();
    let scene = scene.policy(|policy| policy.soak = Duration::ZERO);
    assert_eq!(scene.rollout.state, state);
}

// The same version

#[test]
fn the_same_version_with_another_digest_is_refused() {
    let rebuilt = Scene::available("1.4.0").assign("1.4.0 rebuilt").is(Phase::Rejected);
    rebuilt.because(Reason::DigestChanged).does("-").assign("1.4.0").is(Phase::Available);
    let previous = Scene::upgrading(Phase::Available).settled().assign("1.4.0 rebuilt");
    previous.is(Phase::Rejected).because(Reason::DigestChanged);
    for phase in [Phase::Applying, Phase::Verifying, Phase::Pruning] {
        let under_way = Scene::upgrading(phase).assign("1.5.0 rebuilt").is(phase).settled();
        under_way.is(Phase::Rejected).because(Reason::DigestChanged).runs("1.5.0", "1.4.0");
    }
    Scene::held().settled().assign("1.5.0 rebuilt").because(Reason::DigestChanged);
}

#[test]
fn another_release_of_the_same_version_is_an_upgrade() {
    let scene = Scene::available("1.4.0").assign("1.4.0 moved").is(Phase::Pulling);
    let scene = scene.shows_operation("Upgrade InProgress").settled().runs("1.4.0", "1.4.0");
    scene.shows_operation("Upgrade Succeeded");
}

// Which version may follow which

#[test]
fn policies_say_which_version_may_follow() {
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
fn a_requested_rollback_ends_in_available() {
    let scene = Scene::upgrading(Phase::Available).settled().assign("1.4.0");
    let scene = scene.shows_operation("Rollback InProgress").settled().is(Phase::Available);
    scene
        .shows_operation("Rollback Succeeded")
        .runs("1.4.0", "1.5.0")
        .because(Reason::RollbackSucceeded);
}

#[test]
fn a_version_says_which_it_may_follow() {
    let scene = Scene::available("1.4.0").upgrade_from(">=1.5.0").assign("1.6.0");
    let scene = scene.is(Phase::Rejected).because(Reason::UpgradePathNotSupported);
    let scene = scene.rests(60 * MINUTES).is(Phase::Rejected).does("-");
    scene.upgrade_from(">=1.3.0, <1.5.0").assign("1.6.0").is(Phase::Pulling);
}

#[test]
fn the_way_is_judged_from_what_runs_not_from_what_is_half_there() {
    let scene = Scene::upgrading(Phase::Applying).upgrade_from(">=1.5.0").assign("1.6.0");
    let scene = scene.is(Phase::Applying).until(Phase::Available).settled();
    scene.is(Phase::Available).runs("1.6.0", "1.5.0");
}

#[test]
fn a_version_says_which_api_servers_it_supports() {
    let scene = Scene::new().needs_kubernetes(">=1.32").assign("1.4.0").is(Phase::Rejected);
    let scene = scene.because(Reason::KubernetesNotSupported).conditions("");
    let scene =
        scene.kubernetes("1.32.1").is(Phase::Rejected).rests(6 * MINUTES).is(Phase::Rejected);
    scene.rests(MINUTES).is(Phase::Pulling).shows_operation("Install InProgress");
}

#[test]
fn an_unknown_api_server_version_refuses_nothing() {
    let mut scene = Scene::new().needs_kubernetes(">=1.32");
    scene.seen.kubernetes = None;
    scene.assign("1.4.0").is(Phase::Pulling);
}

// Going back, judged before the first write

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
            "True NothingInTheWay: nothing is known that would stand in the way of going back",
        ),
        (&[], &["a", "b"], "Unknown CannotBeTold: a; b"),
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
    let stray = Outcome::AppliedBut { stage: Stage::Extensions, left };
    let scene = rolling_back().done().ends(Some(stray)).does("-");
    scene.settled().is(Phase::RolledBack).because(Reason::Unhealthy);
}

// Refusals

#[test]
fn what_the_environment_refuses_is_looked_at_again_and_keeps_its_times() {
    for (phase, again) in [
        (Phase::Pulling, "pull"),
        (Phase::Staging, "stage"),
        (Phase::Checking, "check 1.5.0 from 1.4.0"),
    ] {
        let scene = Scene::upgrading(phase).rests(7).refused_for_good(Reason::Forbidden);
        let mut scene = scene.is(Phase::Rejected);
        let (history, saved) = (scene.rollout.history.clone(), scene.rollout.clone());
        for _ in 0..3 {
            assert_eq!(scene.wake, Some(Duration::from_secs(5 * MINUTES + 75)), "with full jitter");
            scene = scene.rests(6 * MINUTES).does("-").rests(15).does(again);
            scene = scene.refused(Reason::Forbidden).is(Phase::Rejected).does("-");
            assert!(scene.rollout.same_but_for_time(&saved), "nothing new, nothing to save");
        }
        assert_eq!(scene.rollout.history, history);
        let scene = scene.rests(7 * MINUTES).done().settled().is(Phase::Available);
        let newest = "2 Upgrade 1.5.0 Succeeded UpgradeSucceeded";
        scene.remembers(&[newest, "1 Install 1.4.0 Succeeded InstallSucceeded"]);
    }
}

#[test]
fn jitter_spreads_the_looks_at_a_refusal() {
    for (jitter, seconds) in [(0.0, 225), (0.5, 300), (1.0, 375)] {
        let mut scene = Scene::upgrading(Phase::Checking);
        scene.seen.jitter = jitter;
        let scene = scene.refused_for_good(Reason::Forbidden);
        assert_eq!(scene.wake, Some(Duration::from_secs(seconds)));
    }
}

#[test]
fn another_refusal_is_told_with_its_own_time() {
    let scene = Scene::upgrading(Phase::Checking).refused_for_good(Reason::Forbidden);
    let first = scene.saved.completion_time.clone();
    let scene = scene.rests(7 * MINUTES).refused(Reason::NamespaceMissing).is(Phase::Rejected);
    assert_ne!(scene.saved.completion_time, first);
    let scene = scene.because(Reason::NamespaceMissing).rests(7 * MINUTES);
    let scene =
        scene.passing(Reason::CheckFailed).is(Phase::Rejected).because(Reason::NamespaceMissing);
    let scene = scene
        .rests(7 * MINUTES)
        .refused(Reason::ImmutableField)
        .conditions("Stalled Verified")
        .settled();
    scene.rests(60 * MINUTES).does("-").is(Phase::Rejected);
}

#[test]
fn what_the_content_refuses_waits_for_another_assignment_or_a_retry() {
    let rejected = || {
        let scene = Scene::upgrading(Phase::Pulling).refused(Reason::DigestMismatch);
        scene.is(Phase::Rejected).shows_operation("Upgrade Failed").settled()
    };
    rejected().rests(60 * MINUTES).is(Phase::Rejected).does("-").restart().does("-");
    rejected().retry("1").is(Phase::Pulling).shows_operation("Upgrade InProgress");
    rejected().policy(|policy| policy.adopt = true).is(Phase::Pulling);
    rejected().assign("1.6.0").settled().runs("1.6.0", "1.4.0");
    rejected().assign("1.4.0").is(Phase::Available).because(Reason::ReturnRequested);
}

#[test]
fn a_release_that_was_lost_while_it_was_refused_is_pulled_again() {
    let scene = Scene::upgrading(Phase::Checking).refused(Reason::Forbidden).rests(7 * MINUTES);
    let scene =
        scene.with(|seen| seen.retained.retain(|kept| kept.state != RetainedState::Candidate));
    scene.missing().is(Phase::Pulling).settled().runs("1.5.0", "1.4.0");
}

#[test]
fn a_refusal_whose_second_look_passes_respects_a_pause() {
    let scene = Scene::upgrading(Phase::Checking).refused(Reason::Forbidden).pause();
    let scene = scene.rests(7 * MINUTES).done().is(Phase::Waiting).does("-");
    scene.resume().is(Phase::Checking).settled().runs("1.5.0", "1.4.0");
}

// Unreadable assignments

#[test]
fn before_the_first_write_an_unreadable_assignment_is_rejected() {
    let waiting = || Scene::available("1.4.0").pause().assign("1.5.0").is(Phase::Waiting);
    let rejected = || Scene::upgrading(Phase::Checking).refused(Reason::ImmutableField);
    for scene in [
        Scene::new(),
        waiting(),
        Scene::upgrading(Phase::Pulling),
        Scene::upgrading(Phase::Staging),
        Scene::upgrading(Phase::Checking),
        rejected(),
        Scene::available("1.4.0"),
        Scene::rolled_back(),
        Scene::held(),
    ] {
        let ran = scene.rollout.current.clone();
        let scene = scene.unreadable().is(Phase::Rejected).because(Reason::InvalidAssignment);
        let scene = scene.settled().rests(60 * MINUTES).is(Phase::Rejected).does("-");
        assert_eq!(scene.rollout.current, ran);
        scene.assign("1.6.0").resume().settled().is(Phase::Available);
    }
}

#[test]
fn from_the_first_write_on_an_unreadable_assignment_waits_for_the_end() {
    for phase in [Phase::Applying, Phase::Verifying, Phase::Pruning] {
        let scene = Scene::upgrading(phase).unreadable().is(phase).until(Phase::Available);
        let scene = scene.runs("1.5.0", "1.4.0").settled().is(Phase::Rejected);
        scene.assign("1.5.0").is(Phase::Available);
    }
    let third = Scene::upgrading(Phase::Applying).assign("1.6.0").is(Phase::Pulling).unreadable();
    third.is(Phase::Pulling).until(Phase::Available).runs("1.6.0", "1.4.0");
    let broken = Scene::upgrading(Phase::Verifying).unreadable().broken().is(Phase::RollingBack);
    broken.settled().is(Phase::Rejected).runs("1.4.0", "-");
}

#[test]
fn an_unreadable_assignment_that_is_mended_to_what_runs_is_available() {
    let scene = Scene::available("1.4.0").unreadable_at("1.5.0").is(Phase::Rejected);
    let scene = scene.conditions("Stalled").shows_operation("Upgrade Failed");
    let scene = scene.assign("1.4.0").is(Phase::Available);
    scene.conditions("Ready Verified").remembers(&[
        "3 Rollback 1.4.0 Succeeded ReturnRequested",
        "2 Upgrade 1.5.0 Failed InvalidAssignment",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
}

#[test]
fn coming_back_to_what_runs_is_a_rollback_only_from_something_newer() {
    let never = |policy: &mut Policy| policy.downgrades = lifecycle::Downgrades::Never;
    for (asked, kind) in [
        ("1.6.0", "Rollback"),
        ("1.4.0", "Upgrade"),
        ("1.5.0 rebuilt", "Upgrade"),
        ("1.5.1-rc.1", "Rollback"),
    ] {
        let scene = Scene::available("1.5.0").policy(never).policy(|policy| {
            policy.upgrades = Upgrades::None;
        });
        let scene = scene.assign(asked).is(Phase::Rejected).assign("1.5.0").is(Phase::Available);
        scene.shows_operation(&format!("{kind} Succeeded")).because(Reason::ReturnRequested);
    }
}

#[test]
fn a_status_that_cannot_be_read_is_made_anew_from_its_ledger() {
    let scene = Scene::available("1.4.0");
    let mut status = serde_json::to_value(&scene.saved).expect("a status");
    status["completionTime"] = "9999-12-31T23:59:59Z".into();
    status["phase"] = "Marvellous".into();
    let read: ManagedAddOnStatus = serde_json::from_value(status).expect("a status");
    let ledger = Rollout::load(&read).expect("a ledger").expect("a ledger");
    assert_eq!(
        (ledger.current.clone(), ledger.phase()),
        (scene.rollout.current.clone(), Phase::Available)
    );
    assert_eq!(read, ManagedAddOnStatus { rollout: read.rollout.clone(), ..Default::default() });
}

#[test]
fn an_unknown_template_is_looked_at_again_by_itself() {
    let scene = Scene::available("1.4.0").unassignable(Reason::UnknownTemplate).is(Phase::Rejected);
    let saved = scene.rollout.clone();
    let scene = scene.rests(7 * MINUTES).is(Phase::Rejected);
    assert!(scene.rollout.same_but_for_time(&saved));
}

// Pause and slots

#[test]
fn while_paused_nothing_new_starts() {
    for scene in [
        Scene::new().pause().assign("1.6.0"),
        Scene::available("1.4.0").pause().assign("1.6.0"),
        Scene::upgrading(Phase::Pulling).pause().assign("1.6.0"),
        Scene::rolled_back().pause().assign("1.6.0"),
        Scene::held().pause().assign("1.6.0"),
    ] {
        let scene = scene.is(Phase::Waiting).because(Reason::Paused).does("-");
        let scene = scene.rests(60 * MINUTES).restart().is(Phase::Waiting);
        scene.resume().settled().is(Phase::Available);
    }
    Scene::rolled_back().pause().retry("1").is(Phase::Waiting).resume().is(Phase::Pulling);
}

#[test]
fn a_pause_before_the_first_write_holds_it() {
    let scene = Scene::upgrading(Phase::Checking).pause().is(Phase::Checking).done();
    let scene = scene.is(Phase::Waiting).because(Reason::Paused).resume().is(Phase::Checking);
    let scene = scene.does("check 1.5.0 from 1.4.0").settled().runs("1.5.0", "1.4.0");
    let newest = "2 Upgrade 1.5.0 Succeeded UpgradeSucceeded";
    scene.remembers(&[newest, "1 Install 1.4.0 Succeeded InstallSucceeded"]);
}

#[test]
fn while_paused_what_is_under_way_is_finished() {
    for phase in [Phase::Applying, Phase::Verifying, Phase::Pruning] {
        let scene = Scene::upgrading(phase).pause().is(phase).assign("1.6.0").is(phase);
        let scene = scene.until(Phase::Available).runs("1.5.0", "1.4.0").look().is(Phase::Waiting);
        scene.resume().settled().runs("1.6.0", "1.5.0");
    }
    Scene::upgrading(Phase::Verifying).pause().broken().settled().is(Phase::RolledBack);
    Scene::upgrading(Phase::Verifying).pause().assign("1.4.0").is(Phase::RollingBack);
}

#[test]
fn what_is_half_there_is_not_left_so_by_a_pause() {
    let scene = Scene::upgrading(Phase::Applying).assign("1.6.0").until(Phase::Checking).pause();
    scene.done().is(Phase::Applying).does("apply 1.6.0: Namespaces");
}

#[test]
fn rollouts_wait_for_their_turn() {
    let scene = Scene::available("1.4.0").slot(false).assign("1.5.0").is(Phase::Waiting);
    let scene = scene.because(Reason::Queued).does("-");
    scene.slot(true).is(Phase::Pulling).until(Phase::Applying).slot(false).until(Phase::Available);
}

#[test]
fn what_is_put_off_is_initiated_and_ends_when_it_is_taken_back() {
    let scene = Scene::available("1.4.0").pause().assign("1.5.0").is(Phase::Waiting);
    assert_eq!(scene.rollout.operation.as_ref().map(|operation| operation.completed), Some(None));
    let scene = scene.assign("1.4.0").is(Phase::Available).because(Reason::ReturnRequested);
    scene.remembers(&[
        "3 Rollback 1.4.0 Succeeded ReturnRequested",
        "2 Upgrade 1.5.0 Failed Superseded",
        "1 Install 1.4.0 Succeeded InstallSucceeded",
    ]);
}

#[test]
fn what_was_begun_and_put_off_is_ended_when_another_takes_its_place() {
    let put_off = || Scene::upgrading(Phase::Checking).pause().done().is(Phase::Waiting);
    let superseded = "2 Upgrade 1.5.0 Failed Superseded";
    let first = "1 Install 1.4.0 Succeeded InstallSucceeded";
    let newest = "3 Rollback 1.4.0 Succeeded ReturnRequested";
    put_off().assign("1.4.0").is(Phase::Available).remembers(&[newest, superseded, first]);
    let newest = "3 Upgrade 1.6.0 Succeeded UpgradeSucceeded";
    put_off().assign("1.6.0").resume().settled().remembers(&[newest, superseded, first]);
    let newest = "3 Upgrade 1.7.0 Failed InvalidAssignment";
    put_off().unreadable_at("1.7.0").remembers(&[newest, superseded, first]);
}

// Maintenance windows

/// From 02:00 to 06:00 on Saturdays in Berlin, which is five days and 13 hours after stories begin.
const SATURDAYS: [&str; 3] = ["0 2 * * 6", "4h", "Europe/Berlin"];

#[test]
fn outside_every_window_nothing_new_starts_and_it_is_told_when_one_opens() {
    for scene in [
        Scene::new().windows(&[SATURDAYS]).assign("1.6.0"),
        Scene::available("1.4.0").windows(&[SATURDAYS]).assign("1.6.0"),
        Scene::available("1.4.0").policy(any_way_down).windows(&[SATURDAYS]).assign("1.3.0"),
        Scene::upgrading(Phase::Pulling).windows(&[SATURDAYS]).assign("1.6.0"),
        Scene::rolled_back().windows(&[SATURDAYS]).assign("1.6.0"),
        Scene::rolled_back().windows(&[SATURDAYS]).retry("1"),
        Scene::held().windows(&[SATURDAYS]).assign("1.6.0"),
    ] {
        let scene = scene.is(Phase::Waiting).because(Reason::OutsideWindow).does("-");
        assert_eq!(
            scene.message(),
            "outside every maintenance window; the next opens at 2026-03-07T01:00:00Z (Saturday, \
             2026-03-07 02:00 in Europe/Berlin)"
        );
        let scene = scene.restart().is(Phase::Waiting);
        let scene = scene.at("2026-03-07T00:59:59Z").is(Phase::Waiting).does("-");
        let scene = scene.at("2026-03-07T01:00:00Z").is(Phase::Pulling).does("pull");
        scene.settled().is(Phase::Available);
    }
}

#[test]
fn who_waits_for_a_window_looks_again_exactly_when_it_opens() {
    let wakes = |scene: &Scene| scene.wake.map(|wake| wake.as_secs());
    let scene = Scene::available("1.4.0").windows(&[SATURDAYS]).assign("1.5.0").look();
    assert_eq!(wakes(&scene), Some(60 * MINUTES), "clocks are set, and machines sleep");
    let scene = scene.at("2026-03-07T00:12:34Z").is(Phase::Waiting);
    assert_eq!(wakes(&scene), Some(47 * MINUTES + 26));
    let wake = scene.wake.expect("a time");
    scene.wait(wake).is(Phase::Pulling).does("pull");
}

#[test]
fn in_a_window_a_rollout_starts_and_is_finished_after_it() {
    let scene = Scene::available("1.4.0").windows(&[SATURDAYS]).at("2026-03-07T04:59:59Z");
    let scene = scene.assign("1.5.0").is(Phase::Pulling).until(Phase::Applying);
    let scene = scene.at("2026-03-07T05:00:00Z").is(Phase::Applying).until(Phase::Verifying);
    let broken = scene.clone().broken().is(Phase::RollingBack);
    broken.at("2026-03-08T05:00:00Z").settled().is(Phase::RolledBack).runs("1.4.0", "-");
    scene.clone().assign("1.4.0").is(Phase::RollingBack).settled().is(Phase::Available);
    // A third version is something new.
    let third = scene.assign("1.6.0").is(Phase::Verifying).until(Phase::Available).look();
    let third = third.is(Phase::Waiting).because(Reason::OutsideWindow).runs("1.5.0", "1.4.0");
    third.at("2026-03-14T01:00:00Z").settled().runs("1.6.0", "1.5.0");
}

#[test]
fn the_first_write_has_to_be_in_the_window() {
    let closing = |scene: Scene| {
        let scene = scene.windows(&[SATURDAYS]).at("2026-03-07T04:59:59Z").assign("1.5.0");
        scene.until(Phase::Checking)
    };
    let scene = closing(Scene::available("1.4.0")).rests(1).is(Phase::Checking).done();
    let scene = scene.is(Phase::Waiting).because(Reason::OutsideWindow);
    let scene = scene.at("2026-03-14T01:00:00Z").does("check 1.5.0 from 1.4.0").done();
    scene.is(Phase::Applying);
    // What prepared an upgrade would have to be run again.
    let scene = closing(Scene::available("1.4.0").with_hooks()).done();
    let scene = scene.does("hook 1.5.0: pre-upgrade").rests(1).hooked(Ran::Well);
    scene.is(Phase::Applying);
    // What is half there is not left so.
    let scene = closing(Scene::available("1.4.0")).until(Phase::Applying).assign("1.6.0");
    scene.until(Phase::Checking).rests(1).done().is(Phase::Applying);
    // A window that one version was prepared in is not the next one's.
    let scene = Scene::held().with_hooks().windows(&[SATURDAYS]).at("2026-03-07T04:59:59Z");
    let scene = scene.assign("1.6.0").until(Phase::Checking).done().does("hook 1.6.0: pre-upgrade");
    scene.rests(1).assign("1.7.0").does("hook 1.6.0: pre-upgrade");
}

#[test]
fn windows_can_be_ignored_for_a_version_or_taken_out_of_the_policy() {
    let waiting = || Scene::available("1.4.0").windows(&[SATURDAYS]).assign("1.5.0");
    waiting().with(|seen| seen.any_time = true).is(Phase::Pulling).until(Phase::Applying);
    waiting().windows(&[]).is(Phase::Pulling);
    waiting().windows(&[SATURDAYS, ["0 12 * * *", "1h", "UTC"]]).is(Phase::Pulling);
}

#[test]
fn windows_hold_neither_what_runs_nor_its_removal() {
    let waiting = || Scene::available("1.4.0").windows(&[SATURDAYS]).assign("1.5.0");
    waiting().assign("1.4.0").is(Phase::Available);
    waiting().delete(Deletion::Uninstall).is(Phase::Removing).settled();
    let scene = Scene::available("1.4.0").windows(&[SATURDAYS]).is(Phase::Available);
    let lost = scene.with(|seen| seen.retained.clear()).is(Phase::Pulling);
    lost.settled().is(Phase::Available).runs("1.4.0", "-");
    // A pause is told first, and a turn is waited for in the window.
    waiting().pause().because(Reason::Paused).resume().because(Reason::OutsideWindow);
    let queued = waiting().slot(false).because(Reason::OutsideWindow);
    queued.at("2026-03-07T01:00:00Z").because(Reason::Queued).slot(true).is(Phase::Pulling);
}

// Other add-ons

fn needing(needs: &[&str]) -> Scene {
    Scene::available("1.4.0").requires(needs).among(&[])
}

#[test]
fn what_needs_another_add_on_waits_for_it_and_says_for_what() {
    for (others, message) in [
        (vec![], "requires base >=2, which is not here"),
        (vec![("base", Neighbour::default())], "requires base >=2, which is not installed yet"),
        (vec![("base", running("1.9.0"))], "requires base >=2; 1.9.0 runs here"),
        (
            vec![("base", Neighbour { moving: true, ..running("2.1.0") })],
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

fn relying(need_of_ours: &str) -> Neighbour {
    Neighbour { relies_on: vec![need(need_of_ours)], ..running("7.0.0") }
}

#[test]
fn a_version_that_would_break_another_add_on_is_refused_until_that_changes() {
    let ledge = [("till", relying("shop >=1, <1.5"))];
    let scene = Scene::available("1.4.0").among(&ledge).assign("1.5.0").is(Phase::Rejected);
    let scene = scene.because(Reason::RequiredByOthers).does("-").runs("1.4.0", "-");
    let words = "1.5.0 would break what runs here: till requires shop >=1, <1.5";
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
    let asking = |need_of: &str, it: Neighbour| Neighbour { asks: vec![need(need_of)], ..it };
    let both = [("base", asking("shop >=2", running("1.0.0"))), ("shop", running("1.4.0"))];
    let scene = needing(&["base >=2"]).among(&both).assign("1.5.0").is(Phase::Rejected);
    let scene = scene.because(Reason::RequirementCycle);
    let words = "waits for itself: shop requires base, which requires shop";
    assert_eq!(scene.message(), words);
    let mended = [("base", asking("shop >=1", running("1.0.0"))), ("shop", running("1.4.0"))];
    let scene = scene.among(&mended).is(Phase::Waiting).because(Reason::RequirementNotMet);
    scene.among(&[("base", running("2.0.0"))]).is(Phase::Pulling);
    let alone = needing(&["shop >=2"]).among(&[("shop", running("1.4.0"))]).assign("1.5.0");
    assert_eq!(
        alone.because(Reason::RequirementCycle).message(),
        "waits for itself: shop requires shop"
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
    let relies = |scene: &Scene| Neighbour::of(&scene.managed_add_on()).relies_on;
    let first = Scene::new().requires(&["base >=2"]).among(&met).assign("1.0.0");
    assert_eq!(relies(&first.clone().until(Phase::Checking)), [], "nothing is written yet");
    assert_eq!(relies(&first.until(Phase::Applying)), [need("base >=2")]);
    assert_eq!(relies(&scene), [need("base >=2")]);
    let back = scene.clone().until(Phase::Verifying).broken().settled();
    assert_eq!(relies(&back), [need("base >=2")], "of 1.4.0, as it was asked for when it ran");
    let scene = scene.settled().assign("1.6.0").requires(&["base >=3"]).until(Phase::Waiting);
    assert_eq!(relies(&scene), [need("base >=2")], "what is only asked for relies on nothing");
}

// Restarts and losses

#[test]
fn after_a_restart_the_same_is_done_again() {
    for phase in [Phase::Pulling, Phase::Staging, Phase::Checking, Phase::Applying, Phase::Pruning]
    {
        let scene = Scene::upgrading(phase);
        let action = scene.described();
        scene
            .restart()
            .is(phase)
            .does(&action)
            .settled()
            .is(Phase::Available)
            .runs("1.5.0", "1.4.0");
    }
    rolling_back().done().restart().is(Phase::RollingBack).does("apply 1.4.0 again: Namespaces");
}

// Crash loops

#[test]
fn where_three_agents_ended_in_a_row_there_is_no_fourth() {
    let forward = [
        (Phase::Pulling, Phase::Rejected),
        (Phase::Staging, Phase::Rejected),
        (Phase::Checking, Phase::Rejected),
        (Phase::Applying, Phase::RollingBack),
        (Phase::Verifying, Phase::RollingBack),
    ];
    for (phase, to) in forward {
        let scene = Scene::upgrading(phase).restart().is(phase).restart().is(phase);
        let scene = scene.restart().is(to).because(Reason::CrashLoop).runs("1.4.0", "-");
        let said = format!("the agent ended 3 times in a row while {}", phase.name());
        assert_eq!(scene.message(), said);
        let scene = scene.settled().rests(60 * MINUTES).does("-");
        scene.retry("again").settled().is(Phase::Available).runs("1.5.0", "1.4.0");
    }
    let scene = Scene::upgrading(Phase::Pruning).restart().restart().restart();
    let scene = scene.is(Phase::Available).runs("1.5.0", "1.4.0");
    assert!(scene.message().contains("could not be removed: the agent ended 3 times"));
}

#[test]
fn a_way_back_that_ends_three_agents_fails_and_stays() {
    for far in [Back::Withdraw, Back::Apply { stage: 2 }] {
        let scene = rolling_back().until_back(far).restart().restart().is(Phase::RollingBack);
        let scene = scene.restart().is(Phase::Failed).because(Reason::RollbackFailed);
        let scene = scene.does("evidence of 1.4.0").done().rests(60 * MINUTES).does("-");
        scene.retry("again").settled().is(Phase::Available);
    }
    let verifying = rolling_back().until_back(Back::Verify { healthy: None });
    let verifying = verifying.restart().restart().is(Phase::RollingBack).restart();
    verifying.is(Phase::Failed).because(Reason::RollbackFailed);
    // The old version runs by then.
    let pruning = rolling_back().until_back(Back::Prune).restart().restart().restart();
    let pruning = pruning.is(Phase::RolledBack).because(Reason::Unhealthy);
    assert!(pruning.message().contains("could not be removed: the agent ended 3 times"));
}

#[test]
fn whatever_comes_of_it_ends_a_crash_loop() {
    let scene = Scene::upgrading(Phase::Applying).restart().restart().done();
    let scene = scene.restart().restart().is(Phase::Applying).passing(Reason::ApplyFailed);
    let scene = scene.rests(1).restart().restart().until(Phase::Verifying);
    let scene = scene.restart().restart().healthy(1).restart().restart().is(Phase::Verifying);
    scene.settled().is(Phase::Available).runs("1.5.0", "1.4.0");
}

#[test]
fn a_crash_loop_ends_with_another_assignment_and_its_release_is_never_looked_at() {
    let crashed = |phase| {
        let mut scene = Scene::upgrading(phase).restart().restart();
        scene.rollout.patience.deaths = 3;
        assert_eq!(scene.rollout.watched(), None);
        scene.assign("1.6.0")
    };
    for phase in [Phase::Pulling, Phase::Checking, Phase::Applying, Phase::Verifying] {
        crashed(phase).is(Phase::Pulling).settled().is(Phase::Available).runs("1.6.0", "1.4.0");
    }
}

#[test]
fn with_hold_a_crash_loop_stays_where_it_is() {
    let scene = Scene::available("1.4.0").policy(hold).assign("1.5.0").until(Phase::Applying);
    let scene = scene.restart().restart().restart().is(Phase::Failed);
    scene.because(Reason::CrashLoop).does("evidence of 1.5.0").done().does("-");
}

#[test]
fn a_removal_that_ends_agents_is_tried_every_five_minutes() {
    let scene = Scene::available("1.4.0").delete(Deletion::Uninstall).does("remove 1.4.0");
    let scene = scene.restart().restart().does("remove 1.4.0").restart().does("-");
    assert_eq!(scene.message(), "the agent ended 3 times in a row while Removing");
    let scene = scene.rests(4 * MINUTES).does("-").rests(MINUTES).does("remove 1.4.0");
    let scene = scene.restart().does("-").rests(5 * MINUTES).does("remove 1.4.0").settled();
    assert!(scene.gone);
}

#[test]
fn at_rest_no_restart_is_counted() {
    for scene in [Scene::available("1.4.0"), Scene::rolled_back(), Scene::held()] {
        let mut scene = scene;
        for _ in 0..10 {
            scene = scene.restart();
        }
        assert_eq!(scene.rollout.patience.deaths, 0);
    }
}

#[test]
fn what_is_missing_after_a_restart_is_pulled_again() {
    for phase in [Phase::Staging, Phase::Checking, Phase::Applying] {
        let scene = Scene::upgrading(phase).restart().missing().is(Phase::Pulling).does("-");
        let scene = scene.rests(1).does("pull").settled();
        scene.is(Phase::Available).runs("1.5.0", "1.4.0");
    }
}

#[test]
fn pruning_without_the_old_release_ends_and_without_the_new_one_pulls_it() {
    let scene = Scene::upgrading(Phase::Pruning).missing().is(Phase::Available);
    assert!(scene.message().contains("could not be removed"), "{}", scene.message());
    let mut scene = Scene::upgrading(Phase::Pruning);
    scene.seen.retained.clear();
    scene.missing().is(Phase::Pulling).settled().runs("1.5.0", "1.4.0");
}

#[test]
fn a_lost_ledger_is_rebuilt_without_installing_over_what_runs() {
    let scene = Scene::available("1.4.0").forget().is(Phase::Available).does("-");
    let scene = scene.because(Reason::LedgerRebuilt).runs("1.4.0", "-");
    scene.remembers(&["1 Upgrade 1.4.0 Succeeded LedgerRebuilt"]);
    // Where another is retained, it may have been on its way.
    let scene = Scene::upgrading(Phase::Available).settled().forget().is(Phase::RollingBack);
    let scene = scene.because(Reason::LedgerRebuilt).conditions("Reconciling Verified").settled();
    let scene = scene.is(Phase::Available).runs("1.5.0", "1.4.0");
    let scene = scene.remembers(&["1 Rollback 1.5.0 Succeeded RollbackSucceeded"]).assign("1.4.0");
    scene.shows_operation("Rollback InProgress").does("check 1.4.0 from 1.5.0");
}

#[test]
fn a_ledger_lost_in_mid_rollout_still_covers_what_was_touched() {
    let lost = || Scene::upgrading(Phase::Verifying).forget();
    let scene =
        lost().is(Phase::Checking).shows_operation("Upgrade InProgress").until(Phase::Verifying);
    scene
        .broken()
        .done()
        .does("prune extensions of 1.5.0, keep 1.4.0")
        .settled()
        .runs("1.4.0", "-");
    let back = Scene::upgrading(Phase::Available).settled().policy(any_way_down).assign("1.4.0");
    let back = back.until(Phase::Applying).forget().is(Phase::Checking).assign("1.5.0").settled();
    back.is(Phase::Available).runs("1.5.0", "1.4.0");
    let mut scene = lost();
    scene.rollout = Rollout::rebuild(&scene.seen.retained);
    let scene = scene.assign("1.4.0").is(Phase::RollingBack).settled();
    scene.is(Phase::Available).runs("1.4.0", "-");
}

#[test]
fn nothing_retained_makes_an_empty_ledger() {
    assert_eq!(Rollout::rebuild(&[]), Rollout::default());
    let candidate = Retained { release: release("1.4.0"), state: RetainedState::Candidate };
    let rollout = Rollout::rebuild(&[candidate]);
    assert_eq!((rollout.current, rollout.touched), (None, vec![release("1.4.0")]));
}

#[test]
fn a_ledger_is_read_back_with_its_history() {
    let scene = Scene::rolled_back();
    let text = serde_json::to_string(&scene.saved).expect("a status");
    let status: ManagedAddOnStatus = serde_json::from_str(&text).expect("a status");
    assert_eq!(Rollout::load(&status), Ok(Some(scene.rollout)));
}

#[test]
fn a_ledger_of_another_form_is_refused() {
    let mut status = Scene::available("1.4.0").saved;
    assert_eq!(Rollout::load(&ManagedAddOnStatus::default()), Ok(None));
    for (form, said) in [
        (serde_json::json!({"format": 2}), "the ledger's form is 2"),
        (serde_json::json!({}), "the ledger's form is unknown"),
        (serde_json::json!({"format": 1}), "the ledger cannot be read"),
    ] {
        status.rollout = Some(form);
        let fault = Rollout::load(&status).expect_err("a refusal");
        assert_eq!(fault.reason, Reason::UnknownLedger);
        assert!(fault.message.starts_with(said), "{}", fault.message);
    }
}

#[test]
fn spent_time_alone_is_not_worth_a_save() {
    let scene = Scene::upgrading(Phase::Verifying).healthy(1);
    let saved = scene.rollout.clone();
    assert!(scene.healthy(20).rollout.same_but_for_time(&saved));
    let scene = rolling_back().until_back(Back::Verify { healthy: None });
    let saved = scene.rollout.clone();
    assert!(scene.healthy(20).rollout.same_but_for_time(&saved));
    let scene = Scene::upgrading(Phase::Pulling).passing(Reason::PullFailed);
    let saved = scene.rollout.clone();
    let scene = scene.rests(1);
    assert!(scene.rollout.same_but_for_time(&saved));
    assert!(!scene.passing(Reason::PullFailed).rollout.same_but_for_time(&saved));
}

// Clocks

#[test]
fn no_length_of_time_overflows() {
    let phases = [Phase::Pulling, Phase::Staging, Phase::Checking, Phase::Applying];
    let phases = phases.into_iter().chain([Phase::Verifying, Phase::Pruning, Phase::RollingBack]);
    for phase in phases {
        for verdict in
            [Verdict::Healthy, Verdict::Awaited("it".to_owned()), Verdict::Failed("it".to_owned())]
        {
            let mut scene = if phase == Phase::RollingBack {
                rolling_back().until_back(Back::Verify { healthy: None })
            } else {
                Scene::upgrading(phase)
            };
            scene.seen.verdict = Some(verdict.clone());
            scene = scene.rests(1);
            (scene.seen.elapsed, scene.seen.verdict) = (Duration::MAX, Some(verdict.clone()));
            scene = scene.look();
            for _ in 0..3 {
                (scene.seen.elapsed, scene.seen.verdict) = (Duration::MAX, Some(verdict.clone()));
                scene = scene.passing(Reason::ApplyFailed);
            }
        }
    }
}

#[test]
fn an_operation_never_ends_before_it_began() {
    let mut scene = Scene::upgrading(Phase::Pruning);
    scene.now = "2001-01-01T00:00:00Z".parse().expect("a time");
    let scene = scene.done().is(Phase::Available);
    assert_eq!(scene.saved.completion_time, scene.saved.started_time);
}

#[test]
fn history_keeps_twenty_and_the_first_of_all() {
    let mut scene = Scene::available("1.0.0");
    for minor in 1..=25 {
        scene = scene.assign(&format!("1.{minor}.0")).settled();
    }
    let sequences: Vec<u64> = scene.rollout.history.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, (8..=26).rev().chain([1]).collect::<Vec<_>>());
    assert_eq!(scene.rollout.transitions, 26);
}

// Deletion

#[test]
fn deletion_is_heard_in_every_phase() {
    for (name, scene) in everywhere() {
        let (current, touched) = (scene.rollout.current.clone(), scene.rollout.touched.clone());
        let scene = scene.delete(Deletion::Uninstall).is(Phase::Removing);
        let scene = scene.shows_operation("Uninstall InProgress").conditions("Reconciling");
        match &scene.action {
            Some(lifecycle::Action::Remove { of }) => {
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
        assert_eq!(scene.message(), "waiting for 1 to go: Namespace a");
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
    let anew = |scene: Scene| scene.with(|seen| seen.leaving = Leaving::No).runs("-", "-");
    let scene = Scene::available("1.4.0").delete(Deletion::Uninstall).done();
    let scene = anew(scene).is(Phase::Pending).look().shows_operation("Install InProgress");
    scene.settled().is(Phase::Available).runs("1.4.0", "-");
    let halfway = Scene::available("1.4.0").delete(Deletion::Uninstall).left("Namespace a");
    let halfway = anew(halfway).assign("1.5.0").until(Phase::Verifying).broken();
    halfway.done().does("prune of 1.4.0 and 1.5.0, keep nothing");
}

fn any_way_down(policy: &mut Policy) {
    policy.downgrades = Downgrades::Any;
}

#[test]
fn a_deletion_that_may_be_no_order_changes_nothing() {
    for (what, scene) in everywhere() {
        let still = scene.clone().look();
        let doubted = scene.with(|seen| seen.leaving = Leaving::Unclear).look();
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
        let scene = scene.with(|seen| seen.leaving = Leaving::Evicted).look();
        assert_eq!(scene.rollout.phase(), phase);
        scene.does("pass on");
    }
}

#[test]
fn who_takes_over_a_ledger_goes_on_from_there() {
    let failed = Scene::rolled_back();
    let inherited = failed.rollout.clone().inherited(failed.seen.generation, 1);
    let asked = |rollout: &Rollout| rollout.operation.as_ref().map(|it| it.asked.generation);
    assert_eq!(asked(&inherited), Some(1));
    assert_eq!(asked(&failed.rollout.clone().inherited(-1, 1)), Some(0));
}

fn rolling_back() -> Scene {
    let scene = Scene::upgrading(Phase::Verifying).broken().is(Phase::RollingBack);
    scene.does("evidence of 1.5.0").done()
}

/// A scene in every phase, by what it is about.
fn everywhere() -> Vec<(&'static str, Scene)> {
    vec![
        ("nothing yet", Scene::new()),
        ("a first install", Scene::new().assign("1.4.0").until(Phase::Applying)),
        ("paused", Scene::available("1.4.0").pause().assign("1.5.0")),
        ("outside", Scene::available("1.4.0").windows(&[SATURDAYS]).assign("1.5.0")),
        ("pulling", Scene::upgrading(Phase::Pulling)),
        ("staging", Scene::upgrading(Phase::Staging)),
        ("checking", Scene::upgrading(Phase::Checking)),
        ("applying", Scene::upgrading(Phase::Applying)),
        ("verifying", Scene::upgrading(Phase::Verifying)),
        ("pruning", Scene::upgrading(Phase::Pruning)),
        ("available", Scene::available("1.4.0")),
        ("rejected", Scene::upgrading(Phase::Checking).refused(Reason::Forbidden)),
        ("unreadable", Scene::available("1.4.0").unreadable()),
        ("rolling back", rolling_back()),
        ("rolled back", Scene::rolled_back()),
        ("held", Scene::held()),
    ]
}

impl Scene {
    /// Looks that tell nothing of health, every five seconds.
    fn unjudged(mut self, seconds: u64) -> Self {
        for _ in 0..seconds / 5 {
            self = self.rests(5);
        }
        self
    }

    /// All goes well until the rollback is this far.
    fn until_back(mut self, far: Back) -> Self {
        while !matches!(&self.rollout.state, State::RollingBack { back, .. } if *back == far) {
            assert_eq!(self.rollout.phase(), Phase::RollingBack);
            self = self.goes_well();
        }
        self
    }
}
