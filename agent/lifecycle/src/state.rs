//! Where a rollout is, with what that place needs to go on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::Phase;
use crate::duration::millis;
use crate::reason::{Fault, Reason};

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
    Applying {
        stage: u32,
        #[serde(with = "millis")]
        spent: Duration,
    },
    Verifying {
        #[serde(with = "millis")]
        spent: Duration,
        /// How long everything has been healthy without a break.
        #[serde(with = "millis")]
        healthy: Duration,
        /// How long an object has said without a break that it failed.
        #[serde(with = "millis")]
        failing: Duration,
    },
    Pruning {
        #[serde(with = "millis")]
        spent: Duration,
    },
    Available,
    Rejected {
        reason: Reason,
        /// What is tried again by itself; absent until the assignment changes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again: Option<Again>,
    },
    RollingBack {
        back: Back,
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
pub enum Again {
    Begin,
    Pull,
    Stage,
    Check,
}

/// How far a rollback is.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(tag = "at", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Back {
    /// Webhooks and APIServices that only the failed release brought go first: they could refuse what follows.
    Withdraw,
    Apply {
        stage: u32,
    },
    Verify {
        #[serde(with = "millis")]
        healthy: Duration,
    },
    /// What only the failed release brought goes.
    Prune,
}

impl State {
    pub fn phase(&self) -> Phase {
        match self {
            State::Pending => Phase::Pending,
            State::Waiting { .. } => Phase::Waiting,
            State::Pulling => Phase::Pulling,
            State::Staging => Phase::Staging,
            State::Checking { .. } => Phase::Checking,
            State::Applying { .. } => Phase::Applying,
            State::Verifying { .. } => Phase::Verifying,
            State::Pruning { .. } => Phase::Pruning,
            State::Available => Phase::Available,
            State::Rejected { .. } => Phase::Rejected,
            State::RollingBack { .. } => Phase::RollingBack,
            State::RolledBack { .. } => Phase::RolledBack,
            State::Failed { .. } => Phase::Failed,
            State::Removing { .. } => Phase::Removing,
        }
    }
}

impl State {
    /// With all counted time at zero.
    pub(crate) fn but_for_time(&self) -> State {
        let mut state = self.clone();
        match &mut state {
            State::Checking { unsure: spent }
            | State::Applying { spent, .. }
            | State::Pruning { spent } => *spent = Duration::ZERO,
            State::Verifying { spent, healthy, failing } => {
                (*spent, *healthy, *failing) = Default::default();
            }
            State::RollingBack { spent, back, .. } => {
                *spent = Duration::ZERO;
                if let Back::Verify { healthy } = back {
                    *healthy = Duration::ZERO;
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
