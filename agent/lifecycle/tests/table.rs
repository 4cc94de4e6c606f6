//! The transition table, row by row: every arrow of the phase diagram, and every rule.

mod scene;
mod table {
    mod assignments;
    mod at_rest;
    mod deletion;
    mod hooks;
    mod refused_objects;
    mod rejections;
    mod requirements;
    mod restarts;
    mod retries;
    mod rollback;
    mod rollback_safety;
    mod transitions;
    mod upgrade_paths;
    mod verification;
    mod waiting;
}

use lifecycle::{Downgrades, Phase, Policy, Reason, RollbackStep, State};

use scene::Scene;

const MINUTES: u64 = 60;

/// From 02:00 to 06:00 on Saturdays in Berlin. The first one opens five days and 13 hours after stories begin.
const SATURDAYS: [&str; 3] = ["0 2 * * 6", "4h", "Europe/Berlin"];

fn any_downgrade(policy: &mut Policy) {
    policy.downgrades = Downgrades::Any;
}

fn rolling_back() -> Scene {
    let scene = Scene::upgrading(Phase::Verifying).failing().is(Phase::RollingBack);
    scene.does("save evidence of 1.5.0").done()
}

/// A scene in every phase, with a name.
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
        ("rejected", Scene::upgrading(Phase::Checking).fails(Reason::Forbidden)),
        ("unreadable", Scene::available("1.4.0").unreadable()),
        ("rolling back", rolling_back()),
        ("rolled back", Scene::rolled_back()),
        ("held", Scene::held()),
    ]
}

impl Scene {
    /// Observations without health, every five seconds.
    fn unassessed(mut self, seconds: u64) -> Self {
        for _ in 0..seconds / 5 {
            self = self.waits(5);
        }
        self
    }

    /// Everything succeeds until this step of the rollback.
    fn until_rollback_step(mut self, step: RollbackStep) -> Self {
        while !matches!(&self.rollout.state, State::RollingBack(rollback) if rollback.step == step)
        {
            assert_eq!(self.rollout.phase(), Phase::RollingBack);
            self = self.goes_well();
        }
        self
    }
}
