//! Everything that crosses the border between the pure core and the agent: observations go in, actions come out.

use std::sync::Arc;
use std::time::Duration;

use semver::Version;

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
use crate::object::ObjectKey;
use crate::plan::waves::Wave;
use crate::reason::Fault;
use crate::rollback_safety::RollbackSafety;
use crate::spec::assignment::Assignment;
use crate::spec::policy::Policy;

/// One snapshot of everything a decision depends on, besides the ledger and the time.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The assignment, or why it cannot be read.
    pub assignment: Result<Arc<Assignment>, Fault>,
    /// The text of `spec.version`, also where the assignment cannot be read.
    pub spec_version: String,
    /// Generation of the `ManagedAddOn`.
    pub generation: i64,
    /// Value of the annotation `retry`.
    pub retry: Option<String>,
    /// Whether the annotation `paused` is set.
    pub is_paused: bool,
    /// Whether the annotation `ignore-windows` names the assigned version.
    pub ignores_windows: bool,
    /// The meaning of the deletion of the `ManagedAddOn`.
    pub deletion_intent: DeletionIntent,
    /// `policy.deletion`, also where the rest of the assignment cannot be read.
    pub deletion: Deletion,
    /// Whether the agent's finalizer is on the `ManagedAddOn`.
    pub has_finalizer: bool,
    /// Whether the add-on may be rolled out now: the number of concurrent rollouts is bounded.
    pub has_slot: bool,
    /// The other add-ons of the cluster that matter to this one.
    pub dependencies: Dependencies,
    /// Version of the API server; absent where nothing depends on it, or where it is unknown.
    pub kubernetes: Option<Version>,
    /// The retained releases.
    pub retained: Vec<Retained>,
    /// How the last action ended; absent after a restart.
    pub outcome: Option<Outcome>,
    /// Objects that a repair at rest wrote as the release has them, although a rollback could not.
    pub recovered: Vec<ObjectKey>,
    /// The health of [`crate::Rollout::release_under_verification`].
    pub verdict: Option<Verdict>,
    /// Time since the last observation, as far as the API server could be reached.
    pub elapsed: Duration,
    /// A random number from 0 to 1 that spreads retries.
    pub jitter: f64,
}

impl Observation {
    /// The identity of the assignment.
    pub fn assignment_key(&self) -> AssignmentKey {
        AssignmentKey {
            release: self.assigned_release().cloned(),
            generation: self.generation,
            retry: self.retry.clone(),
        }
    }

    /// The assigned release; `None` where the assignment cannot be read.
    pub fn assigned_release(&self) -> Option<&Release> {
        self.assignment.as_ref().ok().map(|assignment| &assignment.release)
    }

    /// The policy in force: the defaults where the assignment cannot be read.
    pub fn policy(&self) -> Policy {
        self.assignment.as_ref().map(|assignment| assignment.policy.clone()).unwrap_or_default()
    }

    /// Returns whether a release is retained.
    pub fn is_retained(&self, id: &ReleaseId) -> bool {
        self.retained.iter().any(|retained| &retained.release.id == id)
    }
}

/// One thing to do. It may be done twice without harm.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Add the agent's finalizer to the `ManagedAddOn`.
    AddFinalizer,
    /// Download the assigned bundle and compare its digest.
    Pull,
    /// Parse the bundle and retain the release.
    Stage,
    /// Try the whole release without writing.
    Check {
        /// The release to try.
        release: Release,
        /// The release that runs.
        from: Option<Release>,
    },
    /// Start the hooks of a release that this operation did not start yet, and report the status of all.
    RunHooks {
        /// The release whose hooks run.
        release: Release,
        /// Which of its hooks.
        hook: Hook,
        /// The operation's mark on their Jobs.
        run: HookRun,
        /// Time after which the API server ends them.
        timeout: Duration,
    },
    /// Write one wave of a release. A rollback leaves Jobs out.
    Apply {
        /// The release to write.
        release: Release,
        /// Which of its waves.
        wave: Wave,
        /// Where it leads.
        direction: Direction,
    },
    /// Save evidence of a failure. Tried once.
    SaveEvidence {
        /// The failure.
        failure: Failure,
    },
    /// Remove everything that only these releases have.
    Prune {
        /// The release that stays.
        keep: Option<Release>,
        /// The releases to remove.
        releases: Vec<Release>,
        /// Whether only webhooks and APIServices are removed.
        only_extensions: bool,
        /// Whether one wave has to be gone before the next is removed, so that controllers can still remove the finalizers
        /// of their objects.
        in_order: bool,
    },
    /// Mark retained releases with these states, and delete all others.
    Retain {
        /// Their states.
        states: Vec<(ReleaseId, RetainedState)>,
    },
    /// Remove everything that was installed.
    Remove {
        /// The releases to remove.
        releases: Vec<Release>,
        /// Whether refused objects of a wave do not keep the next from being removed. Those that are deleted and not gone
        /// yet do: what removes their finalizers has to stay.
        past_refused: bool,
    },
    /// Delete the retained releases and remove the agent's finalizer.
    RemoveFinalizer,
    /// Remove the finalizer and recreate the `ManagedAddOn` as it is: its deletion was no order.
    Recreate,
}

/// Where an apply leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the assigned release.
    Forward {
        /// `policy.adopt`: whether existing objects that are no add-on's may be adopted.
        adopt: bool,
    },
    /// To the last release that was available.
    Rollback,
}

impl Direction {
    /// Whether an object without the add-on's label may be taken over. On a rollback a release wrote it, and the label was
    /// removed since.
    pub fn may_adopt(self) -> bool {
        match self {
            Self::Forward { adopt } => adopt,
            Self::Rollback => true,
        }
    }
}

/// The report of a check without findings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckReport {
    /// Whether a rollback would work; absent where there is nothing to roll back to.
    pub rollback_safety: Option<RollbackSafety>,
    /// Warnings for a person. They stop nothing.
    pub warnings: Vec<String>,
    /// Whether the release has `pre-upgrade` hooks.
    pub has_pre_upgrade_hooks: bool,
    /// Workloads of the running release that lack pods.
    pub preexisting_failures: Vec<PreexistingFailure>,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The finalizer is on the `ManagedAddOn`.
    FinalizerAdded,
    /// The bundle was downloaded, and its digest is right.
    Pulled,
    /// The release is retained.
    Staged,
    /// The check has no findings.
    Checked(CheckReport),
    /// The status of the hooks.
    HooksRan(HookStatus),
    /// All of a wave was written.
    Applied {
        /// Which wave.
        wave: Wave,
        /// Objects that a rollback left as they were instead, because restoring them would lose data.
        kept: Vec<KeptObject>,
        /// Objects that a rollback could not write. Everything else of the wave was written.
        refused: Vec<KeptObject>,
    },
    /// Evidence was saved in the ConfigMap of this name.
    EvidenceSaved(String),
    /// Everything was deleted, except guarded objects.
    Pruned {
        /// Objects that are not gone yet.
        leftovers: Vec<Leftover>,
    },
    /// The same, of an uninstall.
    Removed {
        /// Objects that are not gone yet.
        leftovers: Vec<Leftover>,
    },
    /// The retained releases have their states.
    Retained,
    /// The finalizer is removed.
    FinalizerRemoved,
    /// The release or its bundle is no longer at hand: it has to be pulled again.
    Missing,
    /// The action failed.
    Failed(Fault),
}
