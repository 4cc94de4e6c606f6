//! Laws that hold after every step of every story with random assignments, faults, verdicts, restarts and clocks.

mod laws {
    pub mod checker;
    pub mod graph;
    pub mod turn;
}
mod scene;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lifecycle::health::Verdict;
use lifecycle::{Action, Dependencies, Fault, Outcome, Phase, Reason, State};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use laws::checker::Checker;
use laws::graph;
use laws::turn::{Turn, turn};
use scene::Scene;
use scene::words::{leftover, peer_running, requirement};

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_law_holds_in_every_random_story(start in start(), turns in vec(turn(), 1..100)) {
        play(start, &turns, Checker::that_reloads());
    }

    #[test]
    fn without_further_faults_every_story_comes_to_rest(start in start(), turns in vec(turn(), 1..40)) {
        let (scene, mut checker) = play(start, &turns, Checker::default());
        let scene = remove_obstacles(scene).settled();
        checker.check_steps(&scene);
        if !scene.gone && scene.rollout.phase() == Phase::Available {
            assert_eq!(scene.rollout.current.as_ref(), scene.seen.assigned_release());
        }
    }

    #[test]
    fn with_faults_only_every_rollout_comes_to_rest(
        start in start(),
        turns in vec(turn(), 1..40),
        faults in vec(0usize..5, 20),
    ) {
        let (scene, mut checker) = play(start, &turns, Checker::default());
        let mut scene = remove_obstacles(scene);
        let mut at_rest = 0;
        for fault_kind in faults.iter().cycle().take(1500) {
            if at_rest == 20 {
                break;
            }
            scene = fail_somehow(scene, *fault_kind);
            checker.check_steps(&scene);
            scene.steps.clear();
            at_rest = if scene.rollout.phase().is_settled() { at_rest + 1 } else { 0 };
        }
        // Two things are retried forever, as only the environment can correct them: an uninstall, and adding the finalizer
        // before anything starts, in each window again.
        let lacks_finalizer = !scene.seen.has_finalizer
            && matches!(scene.rollout.phase(), Phase::Pending | Phase::Waiting);
        let is_retried_forever = lacks_finalizer || scene.rollout.phase() == Phase::Removing;
        assert!(at_rest > 0 || is_retried_forever, "{:?}", scene.rollout.state);
    }
}

/// Tests the tests: the random stories take every arrow of the graph and every action.
#[test]
fn random_stories_take_every_arrow_and_every_action() {
    let arrows = graph::ARROWS.iter().flat_map(|(from, to)| to.iter().map(move |to| (*from, *to)));
    let arrows: BTreeSet<_> = arrows.collect();
    let mut runner = TestRunner::deterministic();
    let mut seen = Checker::default();
    for _ in 0..8000 {
        let story = (start(), vec(turn(), 1..60)).new_tree(&mut runner).expect("a story").current();
        seen = play(story.0, &story.1, seen).1.restarted();
        if seen.arrows.is_superset(&arrows) {
            break;
        }
    }
    let missed: Vec<_> = arrows.difference(&seen.arrows).collect();
    assert!(missed.is_empty(), "arrows that no story took: {missed:?}");
    let actions = [
        "add finalizer",
        "apply",
        "check",
        "prune",
        "pull",
        "remove",
        "remove finalizer",
        "retain",
        "run hooks",
        "save evidence",
        "stage",
    ];
    assert_eq!(seen.actions.into_iter().collect::<Vec<_>>(), actions);
}

/// Where a story begins.
#[derive(Clone, Copy, Debug)]
enum Start {
    Fresh,
    Paused,
    /// A release is retained, and the `ManagedAddOn` is new.
    Retained,
    StatusLost,
    Installing,
    Available,
    /// Paused since it started.
    Pulling,
    Upgrading,
    /// Another version replaced one that was under fault_kind.
    Replaced,
    RolledBack,
    Held,
}

fn start() -> impl Strategy<Value = Start> {
    use Start::*;
    select(vec![
        Fresh, Paused, Retained, StatusLost, Installing, Available, Pulling, Upgrading, Replaced,
        RolledBack, Held,
    ])
}

impl Start {
    fn scene(self) -> Scene {
        let fresh = || {
            let mut scene = Scene::new();
            scene.seen.has_finalizer = false;
            scene
        };
        match self {
            Start::Fresh => fresh().assign("1.0.0"),
            Start::Paused => fresh().pause().assign("1.0.0"),
            Start::Retained => {
                let mut scene = fresh();
                scene.seen.retained = Scene::available("1.0.0").seen.retained;
                scene.assign("1.0.0")
            }
            Start::StatusLost => Scene::available("1.0.0").without_transcript().loses_status(),
            Start::Installing => Scene::new().assign("1.0.0").until(Phase::Verifying),
            Start::Available => Scene::available("1.0.0"),
            Start::Pulling => Scene::available("1.0.0")
                .assign("1.1.0")
                .until(Phase::Pulling)
                .without_transcript()
                .pause(),
            Start::Upgrading => Scene::available("1.0.0").assign("1.1.0").until(Phase::Verifying),
            Start::Replaced => {
                let scene = Scene::available("1.0.0").assign("1.1.0").until(Phase::Applying);
                scene.assign("1.2.0").until(Phase::Verifying)
            }
            Start::RolledBack => {
                let scene = Scene::available("1.0.0").assign("1.1.0").until(Phase::Verifying);
                scene.failing().until(Phase::RolledBack)
            }
            Start::Held => {
                let scene = Scene::available("1.0.0").policy(scene::hold).assign("1.1.0");
                scene.until(Phase::Verifying).failing()
            }
        }
    }
}

/// Plays a story, and checks each step against the laws.
fn play(start: Start, turns: &[Turn], mut checker: Checker) -> (Scene, Checker) {
    let mut scene = start.scene().policy(shorten_times);
    for turn in turns {
        checker.check_steps(&scene);
        scene.steps.clear();
        scene = turn.play(scene);
        if scene.gone {
            checker.check_steps(&scene);
            (scene, checker) = (recreated(scene), checker.restarted());
        }
    }
    checker.check_steps(&scene);
    scene.steps.clear();
    (scene, checker)
}

/// Shortens times, so that stories get far in few steps.
fn shorten_times(policy: &mut lifecycle::Policy) {
    policy.soak = Duration::from_secs(10);
    policy.timeout = Duration::from_secs(60);
    policy.downgrades = lifecycle::Downgrades::Any;
}

fn recreated(before: Scene) -> Scene {
    let mut scene = Scene::new().policy(shorten_times);
    scene.seen.has_finalizer = false;
    scene.seen.generation = before.seen.generation + 1;
    scene.now = before.now;
    scene.assign("1.1.0")
}

/// Nothing delays or changes the rollout any more.
fn remove_obstacles(mut scene: Scene) -> Scene {
    (scene.seen.is_paused, scene.seen.has_slot) = (false, true);
    scene.seen.jitter = 0.5;
    scene.check_report.rollback_safety = None;
    let requirements = [requirement("base >=2")];
    let base = [("base".to_owned(), Arc::new(peer_running("2.0.0")))];
    scene.seen.dependencies = Dependencies::new("shop", &requirements, &base.into_iter().collect());
    let is_held = scene.rollout.state == State::Waiting { reason: Reason::RollbackUnsafe };
    if is_held { scene.retry("proceed") } else { scene.observe() }
}

fn fail_somehow(mut scene: Scene, fault_kind: usize) -> Scene {
    let fault = |reason| Fault::new(reason, "no");
    if scene.action.is_some() {
        let outcome = match (fault_kind, &scene.action) {
            (0, _) => Outcome::Failed(Fault::transient(Reason::PullFailed, "not now")),
            (1, _) => Outcome::Failed(fault(Reason::Forbidden)),
            (2, _) => Outcome::Failed(fault(Reason::ObjectRefused)),
            (3, Some(Action::Remove { .. })) => {
                Outcome::Removed { leftovers: vec![leftover("a thing")] }
            }
            (3, Some(Action::Prune { .. })) => {
                Outcome::Pruned { leftovers: vec![leftover("a thing")] }
            }
            (_, Some(Action::Pull)) => Outcome::Failed(fault(Reason::DigestMismatch)),
            _ => Outcome::Missing,
        };
        return scene.ends(Some(outcome));
    }
    scene.seen.verdict = match fault_kind {
        0 | 1 => Some(Verdict::Failed("crash".to_owned())),
        2 | 3 => Some(Verdict::InProgress("a pod".to_owned())),
        _ => None,
    };
    let wake = scene.wake.unwrap_or(Duration::from_secs(1));
    scene.wait(wake)
}
