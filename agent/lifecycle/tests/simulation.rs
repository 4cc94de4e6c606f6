//! A simulated world around the pure core: a cluster with objects, retained releases, a saved ledger, and an agent that
//! crashes, is refused, loses its connection and is restored to an older state anywhere. Each event is one number, and zero
//! is a turn without a fault, so that a failing story shrinks to the events that matter.
//!
//! `cargo test` plays a thousand stories. `cargo simulate` plays for a minute and prints how many turns that were.

mod scene;
mod simulation {
    pub mod cluster;
    pub mod event;
    pub mod world;
}

use std::cell::Cell;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestError, TestRunner};

use simulation::event::Event;
use simulation::world::World;

/// Events of one story at most.
const MAX_EVENTS: usize = 120;

/// Plays the runner's stories. The shortest one that breaks a law is printed event by event.
fn simulate(runner: &mut TestRunner, turns: &Cell<u64>) {
    let played = runner.run(&vec(any::<u32>(), 1..MAX_EVENTS), |numbers| {
        let mut world = World::new();
        numbers.iter().for_each(|number| world.play(Event::of(*number)));
        world.ends_as_without_faults();
        turns.set(turns.get() + world.turns);
        Ok(())
    });
    if let Err(TestError::Fail(why, numbers)) = played {
        let events: Vec<String> =
            numbers.iter().map(|number| format!("{number}: {:?}", Event::of(*number))).collect();
        panic!("{why}\n{}", events.join("\n"));
    }
}

fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

#[test]
fn every_story_ends_as_it_would_without_faults() {
    simulate(&mut TestRunner::new(config(1000)), &Cell::new(0));
}

/// Tests the test: the stories reach every phase.
#[test]
fn random_stories_reach_every_phase() {
    let mut runner = TestRunner::deterministic();
    let mut phases = std::collections::BTreeSet::new();
    for _ in 0..400 {
        let numbers =
            vec(any::<u32>(), 1..MAX_EVENTS).new_tree(&mut runner).expect("numbers").current();
        let mut world = World::new();
        numbers.iter().for_each(|number| world.play(Event::of(*number)));
        phases.extend(world.phases);
    }
    let missed: Vec<_> = lifecycle::Phase::ALL.iter().filter(|it| !phases.contains(it)).collect();
    assert!(missed.is_empty(), "no story reached {missed:?}");
}

#[test]
#[ignore = "takes a minute: cargo simulate"]
#[expect(clippy::disallowed_methods, reason = "it goes on for a minute of real time")]
fn for_a_minute() {
    let (begun, turns) = (Instant::now(), Cell::new(0));
    while begun.elapsed() < Duration::from_secs(60) {
        simulate(&mut TestRunner::new(config(500)), &turns);
    }
    println!("{} turns in {:?}, no law broken", turns.get(), begun.elapsed());
}
