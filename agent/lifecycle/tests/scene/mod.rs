//! An agent in a few words: it observes, lets `step` decide, saves, executes the action in memory, and observes again.
#![allow(dead_code, reason = "each test binary uses some of the words")]

mod agent;
mod assertions;
mod outcomes;
pub mod words;
mod world;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::{
    Action, Assignment, CheckReport, Deletion, DeletionIntent, Dependencies, ManagedAddOnStatus,
    Observation, Phase, Policy, Rollout, StatusContext, Step,
};

use words::assignment;

/// More steps than any story here needs.
const MAX_STEPS: usize = 1000;

#[derive(Clone)]
pub struct Scene {
    pub rollout: Rollout,
    pub seen: Observation,
    pub now: Timestamp,
    /// The action of the last step.
    pub action: Option<Action>,
    /// The wake of the last step.
    pub wake: Option<Duration>,
    /// The status that everybody sees.
    pub saved: ManagedAddOnStatus,
    /// The status as it was last written: a change of spent time alone causes no write.
    written: ManagedAddOnStatus,
    /// Whether the finalizer is removed.
    pub gone: bool,
    pub steps: Vec<StepRecord>,
    /// Phase, action and message of each step.
    pub transcript: Vec<String>,
    /// The report of every check from here on.
    pub check_report: CheckReport,
    /// What was found about the release at rest.
    pub context: StatusContext,
    /// Every assignment from here on is like this one, except for its release.
    spec: Assignment,
}

/// One call of `step`: its arguments and its result.
#[derive(Clone, Debug)]
pub struct StepRecord {
    pub before: Rollout,
    pub seen: Observation,
    pub now: Timestamp,
    pub after: Step,
}

/// Where a story begins.
impl Scene {
    /// Nothing is installed, and the finalizer is added.
    pub fn new() -> Self {
        let spec = assignment("1.0.0");
        Scene {
            rollout: Rollout::default(),
            seen: Observation {
                assignment: Ok(Arc::new(spec.clone())),
                spec_version: "1.0.0".to_owned(),
                generation: 0,
                retry: None,
                is_paused: false,
                ignores_windows: false,
                dependencies: Dependencies::default(),
                deletion_intent: DeletionIntent::None,
                deletion: Deletion::Uninstall,
                has_finalizer: true,
                has_slot: true,
                kubernetes: semver::Version::parse("1.31.4").ok(),
                retained: Vec::new(),
                recovered: Vec::new(),
                outcome: None,
                verdict: None,
                elapsed: Duration::ZERO,
                jitter: 1.0,
            },
            now: "2026-03-01T12:00:00Z".parse().expect("a time"),
            action: None,
            wake: None,
            saved: ManagedAddOnStatus::default(),
            written: ManagedAddOnStatus::default(),
            gone: false,
            steps: Vec::new(),
            transcript: Vec::new(),
            check_report: CheckReport::default(),
            context: StatusContext::default(),
            spec,
        }
    }

    pub fn available(version: &str) -> Self {
        Scene::new().assign(version).until(Phase::Available).settled()
    }

    /// 1.4.0 is available, and the upgrade to 1.5.0 has reached this phase.
    pub fn upgrading(phase: Phase) -> Self {
        Scene::available("1.4.0").assign("1.5.0").until(phase)
    }

    /// 1.4.0 is available, and 1.5.0 was rolled back.
    pub fn rolled_back() -> Self {
        Scene::upgrading(Phase::Verifying).failing().until(Phase::RolledBack).settled()
    }

    /// 1.4.0 is available, and 1.5.0 failed and was left in place.
    pub fn held() -> Self {
        let scene = Scene::available("1.4.0").policy(hold).assign("1.5.0");
        scene.until(Phase::Verifying).failing().is(Phase::Failed).done()
    }
}

pub fn hold(policy: &mut Policy) {
    policy.on_failure = lifecycle::OnFailure::Hold;
}
