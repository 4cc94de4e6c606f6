//! The state of a rollout: where it is, with the data that is needed to continue from there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::Phase;
use crate::health::ToleratedFailure;
use crate::plan::waves::Wave;
use crate::reason::{Fault, Reason};
use crate::spec::duration::millis;

/// Where a rollout is. Each state belongs to one [`Phase`].
///
/// `spent` is the time for which the API server could be reached in this part of the rollout.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(tag = "at", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum State {
    /// The assignment was seen, and nothing is decided.
    Pending,
    /// The rollout may not start yet.
    Waiting {
        /// Why not.
        reason: Reason,
    },
    /// The bundle is downloaded.
    Pulling,
    /// The bundle is parsed and the release retained.
    Staging,
    /// The release is tried without writing.
    Checking {
        /// How long the API server could not finish the check.
        #[serde(with = "millis")]
        inconclusive_for: Duration,
    },
    /// The check passed, and the `pre-upgrade` hooks run.
    PreUpgrade {
        /// Time spent since they were started.
        #[serde(with = "millis")]
        spent: Duration,
    },
    /// Objects are written, wave by wave.
    Applying {
        /// The wave that is written.
        wave: Wave,
        /// Time spent since the first write.
        #[serde(with = "millis")]
        spent: Duration,
    },
    /// All waves are written, and health is watched.
    Verifying(Verification),
    /// The release is healthy, and what it dropped is removed.
    Pruning {
        /// Time spent since the first removal.
        #[serde(with = "millis")]
        spent: Duration,
        /// Preexisting failures that were tolerated when the soak ended.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tolerated: Vec<ToleratedFailure>,
    },
    /// The assigned release runs.
    Available,
    /// The assignment was rejected before the first write.
    Rejected {
        /// Why.
        reason: Reason,
        /// Where the agent retries by itself. Absent: only another assignment or the annotation `retry` starts again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_from: Option<RetryFrom>,
    },
    /// The last release that was available is restored.
    RollingBack(Rollback),
    /// The last release that was available runs again after a failure.
    RolledBack {
        /// The failure.
        cause: Fault,
    },
    /// The assignment failed, and no rollback follows.
    Failed {
        /// The failure.
        cause: Fault,
    },
    /// Everything that was installed is removed.
    Removing {
        /// Whether only the finalizer is left.
        done: bool,
    },
}

/// How the verification of a release is going.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Time spent since the first write.
    #[serde(with = "millis")]
    pub spent: Duration,
    /// How long everything was healthy without a break; absent if it was not in the last observation.
    #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub healthy_for: Option<Duration>,
    /// How long an object was `Failed` without a break.
    #[serde(with = "millis")]
    pub failed_for: Duration,
}

/// How a rollback is going.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    /// The present step.
    pub step: RollbackStep,
    /// Why the agent rolls back.
    pub cause: Fault,
    /// Whether the assignment requested it. Otherwise a failure caused it.
    pub requested: bool,
    /// Whether refused objects were tried once more since the restored release is healthy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retried_when_healthy: bool,
    /// Why the operation ended without success. The agent goes on restoring at long intervals; the phase is `Failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<Fault>,
    /// Time spent since it began.
    #[serde(with = "millis")]
    pub spent: Duration,
}

/// The step that was refused, and where a retry resumes.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryFrom {
    /// The decision whether the assignment may start.
    Start,
    /// The download of the bundle.
    Pull,
    /// Parsing the bundle and retaining the release.
    Stage,
    /// The check and the hooks before the first write.
    Check,
}

/// The steps of a rollback, in order.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(tag = "at", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RollbackStep {
    /// Webhooks and APIServices that only the failed release has are removed: they could refuse the writes that follow.
    Withdraw,
    /// The last release that was available is written, wave by wave.
    Apply {
        /// The wave that is written.
        wave: Wave,
    },
    /// Its health is watched.
    Verify {
        /// How long everything was healthy without a break; absent if it was not in the last observation.
        #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
        healthy_for: Option<Duration>,
    },
    /// Everything that only the failed release has is removed.
    Prune,
}

/// Properties of a state, whatever the rest of the ledger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    /// The phase to which the state belongs.
    pub phase: Phase,
    /// The release whose health decides what comes next; it is watched.
    pub verified: Option<Verified>,
    /// Whether the current release is at rest.
    pub at_rest: AtRest,
    /// Time spent since this direction's first write; in Pruning, since that began.
    pub spent: Duration,
}

/// A release whose health is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// The operation's target.
    Target,
    /// The release that was restored.
    Current,
}

/// Whether the current release is at rest: it is repaired, and its health is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtRest {
    /// Always.
    Yes,
    /// Unless there may be objects of another release.
    IfUntouched,
    /// Never: another release is on its way.
    No,
}

impl State {
    /// The table of all states.
    pub fn traits(&self) -> Traits {
        let zero = Duration::ZERO;
        let row = |phase, verified, at_rest, spent| Traits { phase, verified, at_rest, spent };
        match self {
            State::Pending => row(Phase::Pending, None, AtRest::IfUntouched, zero),
            State::Waiting { .. } => row(Phase::Waiting, None, AtRest::IfUntouched, zero),
            State::Pulling => row(Phase::Pulling, None, AtRest::No, zero),
            State::Staging => row(Phase::Staging, None, AtRest::No, zero),
            State::Checking { .. } => row(Phase::Checking, None, AtRest::No, zero),
            State::PreUpgrade { .. } => row(Phase::Checking, None, AtRest::No, zero),
            State::Applying { spent, .. } => row(Phase::Applying, None, AtRest::No, *spent),
            State::Verifying(Verification { spent, .. }) => {
                row(Phase::Verifying, Some(Verified::Target), AtRest::No, *spent)
            }
            State::Pruning { spent, .. } => row(Phase::Pruning, None, AtRest::No, *spent),
            State::Available => row(Phase::Available, None, AtRest::Yes, zero),
            State::Rejected { .. } => row(Phase::Rejected, None, AtRest::IfUntouched, zero),
            State::RollingBack(Rollback { step, spent, given_up, .. }) => {
                let phase = given_up.as_ref().map_or(Phase::RollingBack, |_| Phase::Failed);
                row(phase, step.verified(), AtRest::No, *spent)
            }
            State::RolledBack { .. } => row(Phase::RolledBack, None, AtRest::Yes, zero),
            State::Failed { .. } => row(Phase::Failed, None, AtRest::No, zero),
            State::Removing { .. } => row(Phase::Removing, None, AtRest::No, zero),
        }
    }

    /// Returns whether a rollback was given up and is continued.
    pub(crate) fn is_given_up(&self) -> bool {
        matches!(self, State::RollingBack(Rollback { given_up: Some(_), .. }))
    }

    /// Returns whether a rollback counts the time for which everything is healthy.
    pub(crate) fn is_soaking(&self) -> bool {
        let State::RollingBack(Rollback { step, .. }) = self else { return false };
        matches!(step, RollbackStep::Verify { healthy_for: Some(_) })
    }

    /// Returns the state with all times at zero.
    pub(crate) fn without_times(&self) -> State {
        let mut state = self.clone();
        match &mut state {
            State::Checking { inconclusive_for: spent }
            | State::PreUpgrade { spent }
            | State::Applying { spent, .. }
            | State::Pruning { spent, .. } => *spent = Duration::ZERO,
            State::Verifying(verification) => *verification = Verification::default(),
            State::RollingBack(Rollback { spent, step, .. }) => {
                *spent = Duration::ZERO;
                if let RollbackStep::Verify { healthy_for } = step {
                    *healthy_for = None;
                }
            }
            State::Pending
            | State::Waiting { .. }
            | State::Pulling
            | State::Staging
            | State::Available
            | State::Rejected { .. }
            | State::RolledBack { .. }
            | State::Failed { .. }
            | State::Removing { .. } => {}
        }
        state
    }
}

impl RollbackStep {
    /// The step that begins once a wave is written.
    pub(crate) fn after(wave: Wave) -> Self {
        match wave.next() {
            Some(wave) => RollbackStep::Apply { wave },
            None => RollbackStep::Verify { healthy_for: None },
        }
    }

    /// The release whose health decides in this step.
    pub(crate) fn verified(&self) -> Option<Verified> {
        match self {
            RollbackStep::Verify { .. } => Some(Verified::Current),
            RollbackStep::Withdraw | RollbackStep::Apply { .. } | RollbackStep::Prune => None,
        }
    }
}
