//! Where a rollout is, with what that place needs to go on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::Phase;
use crate::reason::{Fault, Reason};
use crate::spec::duration::millis;

/// Where a rollout is, with what that place needs to go on.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(tag = "at", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum State {
    Pending,
    Waiting {
        reason: Reason,
    },
    Pulling,
    Staging,
    Checking {
        /// Time gone while the API server could not finish the check.
        #[serde(with = "millis")]
        unsure: Duration,
    },
    /// Checked; what is to be run before the first write runs.
    PreUpgrade {
        #[serde(with = "millis")]
        spent: Duration,
    },
    Applying {
        stage: u32,
        #[serde(with = "millis")]
        spent: Duration,
    },
    Verifying {
        #[serde(with = "millis")]
        spent: Duration,
        /// How long everything has been seen healthy without a break; absent where it was not at the last look.
        #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
        healthy: Option<Duration>,
        /// How long an object has said without a break that it failed.
        #[serde(with = "millis")]
        failing: Duration,
    },
    Pruning {
        #[serde(with = "millis")]
        spent: Duration,
        /// What is not whole and is no worse than before, in words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        but: String,
    },
    Available,
    Rejected {
        reason: Reason,
        /// What is tried again by itself; absent until the assignment changes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again: Option<RetryFrom>,
    },
    RollingBack {
        back: RollbackStep,
        cause: Fault,
        /// Not a failure: the assignment went back to where it came from.
        asked: bool,
        #[serde(with = "millis")]
        spent: Duration,
    },
    RolledBack {
        cause: Fault,
    },
    Failed {
        cause: Fault,
    },
    Removing {
        /// Nothing is left but to let the `ManagedAddOn` go.
        done: bool,
    },
}

/// Where a refusal came from, and so what to look at again.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryFrom {
    Begin,
    Pull,
    Stage,
    Check,
}

/// How far a rollback is.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(tag = "at", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RollbackStep {
    /// Webhooks and APIServices that only the failed release brought go first: they could refuse what follows.
    Withdraw,
    Apply {
        stage: u32,
    },
    Verify {
        #[serde(default, with = "millis::option", skip_serializing_if = "Option::is_none")]
        healthy: Option<Duration>,
    },
    /// What only the failed release brought goes.
    Prune,
}

/// What holds in a state, whatever the rest of the ledger says: one row each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    pub phase: Phase,
    /// The release whose health decides here; it is looked at again and again.
    pub judged: Option<Judged>,
    pub keeps: Keeps,
    /// Time spent since this direction's first write; in Pruning, since that began.
    pub spent: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// What is being gone to.
    Target,
    /// What was gone back to.
    Current,
}

/// Whether the current release is kept as it is: none is while another is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    Current,
    /// Unless there may be objects of another.
    CurrentIfUntouched,
    Nothing,
}

impl State {
    pub fn traits(&self) -> Traits {
        use Keeps::{Current, CurrentIfUntouched, Nothing};
        let unspent = Duration::ZERO;
        let row = |phase, judged, keeps, spent| Traits { phase, judged, keeps, spent };
        match self {
            State::Pending => row(Phase::Pending, None, CurrentIfUntouched, unspent),
            State::Waiting { .. } => row(Phase::Waiting, None, CurrentIfUntouched, unspent),
            State::Pulling => row(Phase::Pulling, None, Nothing, unspent),
            State::Staging => row(Phase::Staging, None, Nothing, unspent),
            State::Checking { .. } => row(Phase::Checking, None, Nothing, unspent),
            State::PreUpgrade { .. } => row(Phase::Checking, None, Nothing, unspent),
            State::Applying { spent, .. } => row(Phase::Applying, None, Nothing, *spent),
            State::Verifying { spent, .. } => {
                row(Phase::Verifying, Some(Judged::Target), Nothing, *spent)
            }
            State::Pruning { spent, .. } => row(Phase::Pruning, None, Nothing, *spent),
            State::Available => row(Phase::Available, None, Current, unspent),
            State::Rejected { .. } => row(Phase::Rejected, None, CurrentIfUntouched, unspent),
            State::RollingBack { back, spent, .. } => {
                row(Phase::RollingBack, back.judged(), Nothing, *spent)
            }
            State::RolledBack { .. } => row(Phase::RolledBack, None, Current, unspent),
            State::Failed { .. } => row(Phase::Failed, None, Nothing, unspent),
            State::Removing { .. } => row(Phase::Removing, None, Nothing, unspent),
        }
    }
}

impl RollbackStep {
    pub(crate) fn judged(&self) -> Option<Judged> {
        match self {
            RollbackStep::Verify { .. } => Some(Judged::Current),
            RollbackStep::Withdraw | RollbackStep::Apply { .. } | RollbackStep::Prune => None,
        }
    }
}

impl State {
    /// With all counted time at zero.
    pub(crate) fn but_for_time(&self) -> State {
        let mut state = self.clone();
        match &mut state {
            State::Checking { unsure: spent }
            | State::PreUpgrade { spent }
            | State::Applying { spent, .. }
            | State::Pruning { spent, .. } => *spent = Duration::ZERO,
            State::Verifying { spent, healthy, failing } => {
                (*spent, *healthy, *failing) = Default::default();
            }
            State::RollingBack { spent, back, .. } => {
                *spent = Duration::ZERO;
                if let RollbackStep::Verify { healthy } = back {
                    *healthy = None;
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
