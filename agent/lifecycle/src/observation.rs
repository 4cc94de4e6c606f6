//! What the shell saw, and what it is told to do: everything that crosses the border of the pure core.

use std::sync::Arc;
use std::time::Duration;

use crate::api::Deletion;
use crate::bundle::hook::{Hook, HookRun};
use crate::bundle::release::{Release, ReleaseId};
use crate::deletion::DeletionIntent;
use crate::dependencies::Dependencies;
use crate::health::{HookStatus, PreexistingFailure, Verdict};
use crate::ledger::failure::Failure;
use crate::ledger::left_behind::{KeptObject, Leftover};
use crate::ledger::operation::AssignmentKey;
use crate::ledger::retained::{Retained, RetainedState};
use crate::plan::Wave;
use crate::reason::Fault;
use crate::rollback_safety::RollbackSafety;
use crate::spec::assignment::{Assignment, Policy};

/// One look at the world.
#[derive(Clone, Debug)]
pub struct Observation {
    pub assignment: Result<Arc<Assignment>, Fault>,
    /// `spec.version` as it stands, also where the rest cannot be read.
    pub version: String,
    /// Of the `ManagedAddOn`.
    pub generation: i64,
    /// The retry annotation.
    pub retry: Option<String>,
    pub paused: bool,
    /// Somebody said that this version may start outside every window.
    pub any_time: bool,
    /// The `ManagedAddOn` is being deleted, and that is an order or may be none.
    pub deletion_intent: DeletionIntent,
    /// Read apart from the assignment, so that it holds even when the rest cannot be read.
    pub deletion: Deletion,
    /// Our finalizer is on the `ManagedAddOn`.
    pub finalizer: bool,
    /// This add-on may be rolled out now; the number of rollouts at once is bounded.
    pub slot: bool,
    /// The other add-ons here.
    pub dependencies: Dependencies,
    /// Of the API server.
    pub kubernetes: Option<semver::Version>,
    pub retained: Vec<Retained>,
    /// How the last action ended; absent after a restart.
    pub outcome: Option<Outcome>,
    /// The health of [`crate::Rollout::release_under_verification`].
    pub verdict: Option<Verdict>,
    /// Time since the last look during which the API server could be reached.
    pub elapsed: Duration,
    /// A random number from 0 to 1 that spreads retries.
    pub jitter: f64,
}

impl Observation {
    pub fn asked(&self) -> AssignmentKey {
        AssignmentKey {
            release: self.wanted().cloned(),
            generation: self.generation,
            retry: self.retry.clone(),
        }
    }

    pub fn wanted(&self) -> Option<&Release> {
        self.assignment.as_ref().ok().map(|assignment| &assignment.release)
    }

    /// The policy in force; the defaults where the assignment cannot be read.
    pub fn policy(&self) -> Policy {
        self.assignment.as_ref().map(|assignment| assignment.policy.clone()).unwrap_or_default()
    }

    pub fn is_retained(&self, id: &ReleaseId) -> bool {
        self.retained.iter().any(|retained| &retained.release.id == id)
    }
}

/// One thing to do. Each may be done twice without harm.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Put our finalizer on the `ManagedAddOn`.
    AddFinalizer,
    /// Fetch the assigned bundle and compare its digest.
    Pull,
    /// Read the bundle and retain the release.
    Stage,
    /// Try the whole release without writing.
    Check { release: Release, from: Option<Release> },
    /// Begin the hooks of a release that this operation has not begun, and look how they stand.
    Hook { release: Release, hook: Hook, run: HookRun, within: Duration },
    /// Write one stage of a release. A rollback leaves Jobs out.
    Apply { release: Release, stage: Wave, direction: Direction },
    /// Keep what is to be seen of a failure. Tried once, whatever comes of it.
    Evidence { failure: Failure },
    /// Remove what these releases have and `keep` has not; only webhooks and APIServices if so asked. `in_order`: one stage
    /// is gone before the one below it is begun, so that a controller is there for the finalizers of what it cares for.
    Prune { keep: Option<Release>, of: Vec<Release>, only_extensions: bool, in_order: bool },
    /// Mark the retained releases so and forget all others.
    Retain { keep: Vec<(ReleaseId, RetainedState)> },
    /// Remove everything this add-on installed.
    Remove { of: Vec<Release> },
    /// Forget the retained releases and let the `ManagedAddOn` go.
    RemoveFinalizer,
    /// Let the `ManagedAddOn` go, and have it made anew as it is: nobody ordered its removal.
    Recreate,
}

/// Where an apply leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the assigned release.
    Forward {
        /// `policy.adopt`: objects that are no add-on's may be taken over.
        adopt: bool,
    },
    /// To the last release that was available.
    Rollback,
}

/// What a check without findings has to say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Whether a rollback would work; absent where there is nothing to roll back to.
    pub rollback_safety: Option<RollbackSafety>,
    /// What stops nothing and a person should know.
    pub warnings: Vec<String>,
    /// The release has hooks to be run before an upgrade.
    pub pre_upgrade: bool,
    /// What of the running version was not whole.
    pub before: Vec<PreexistingFailure>,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    FinalizerAdded,
    Pulled,
    Staged,
    Checked(Report),
    Hooked(HookStatus),
    /// All of a wave was written, except what a rollback keeps as it is.
    Applied {
        wave: Wave,
        kept: Vec<KeptObject>,
    },
    /// In the ConfigMap of this name.
    Evidence(String),
    /// Everything was deleted; what is not gone yet. Guarded objects do not count.
    Pruned {
        leftovers: Vec<Leftover>,
    },
    /// The same, of an uninstall.
    Removed {
        leftovers: Vec<Leftover>,
    },
    Retained,
    FinalizerRemoved,
    /// The release or its bundle is not at hand any more: it has to be pulled again.
    Missing,
    Failed(Fault),
}
