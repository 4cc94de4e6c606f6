//! The ledger: all that has to survive the agent, saved before each action.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::{HistoryEntry, ManagedAddOnStatus, OperationKind, OperationResult, Phase};
use crate::duration::millis;
use crate::reason::{Fault, Reason};
use crate::release::Release;

/// The form of the ledger that this agent writes. A higher one is refused, never guessed at.
pub const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    pub format: u32,
    pub state: State,
    /// The last release that became Available here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Release>,
    /// The one before it: what a requested rollback would go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Release>,
    /// Releases beside `current` of which objects may be in the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touched: Vec<Release>,
    /// The newest operation, going on or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    #[serde(default)]
    pub patience: Patience,
    /// Operations begun here, ever.
    #[serde(default)]
    pub sequence: u64,
    /// Versions that became Available here, ever.
    #[serde(default)]
    pub transitions: i32,
    /// Newest first; saved beside the ledger, as `status.history`.
    #[serde(skip)]
    pub history: Vec<HistoryEntry>,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            format: FORMAT,
            state: State::Pending,
            current: None,
            previous: None,
            touched: Vec::new(),
            operation: None,
            patience: Patience::default(),
            sequence: 0,
            transitions: 0,
            history: Vec::new(),
        }
    }
}

/// A release kept in a Secret, by what its labels say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    pub release: Release,
    pub state: RetainedState,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum RetainedState {
    Candidate,
    Current,
    Previous,
}

impl RetainedState {
    pub const ALL: [RetainedState; 3] =
        [RetainedState::Candidate, RetainedState::Current, RetainedState::Previous];

    /// As the label on the Secret says it.
    pub fn name(self) -> &'static str {
        match self {
            RetainedState::Candidate => "candidate",
            RetainedState::Current => "current",
            RetainedState::Previous => "previous",
        }
    }
}

/// One attempt to change what runs, or to remove it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    pub kind: OperationKind,
    pub sequence: u64,
    /// What is being gone to; absent where the assignment could not even be read, and on removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Release>,
    pub result: OperationResult,
    pub started: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<Timestamp>,
    pub reason: Reason,
    pub message: String,
    /// The bundle's digest was verified.
    #[serde(default)]
    pub verified: bool,
    /// The assignment this answers.
    pub asked: Asked,
}

/// What makes an assignment another one.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// Absent where the assignment could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Of the whole spec: a refusal is looked at again when anything in it changes.
    pub generation: i64,
    /// The retry annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
}

impl Asked {
    /// The same release, and nobody asked to try it again.
    pub fn same_release(&self, other: &Asked) -> bool {
        self.release == other.release && self.retry == other.retry
    }
}

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

/// Waiting between tries, counted in spent time.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Patience {
    /// Tries in a row that failed in passing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u32,
    /// Nothing is done until this much time is gone.
    #[serde(default, with = "millis", skip_serializing_if = "Duration::is_zero")]
    pub rest: Duration,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Rollout {
    /// Reads a saved ledger; one of another form is refused, never guessed at.
    pub fn load(status: &ManagedAddOnStatus) -> Result<Option<Self>, Fault> {
        let Some(saved) = &status.rollout else { return Ok(None) };
        let format = saved.get("format").and_then(serde_json::Value::as_u64);
        if format != Some(u64::from(FORMAT)) {
            return Err(Fault::new(
                Reason::UnknownLedger,
                format!(
                    "the ledger's form is {}, this agent knows {FORMAT}; run the agent that wrote it",
                    format.map_or("unknown".to_owned(), |format| format.to_string())
                ),
            ));
        }
        let rollout: Self = serde_json::from_value(saved.clone()).map_err(|e| {
            Fault::new(Reason::UnknownLedger, format!("the ledger cannot be read: {e}"))
        })?;
        Ok(Some(Self { history: status.history.clone(), ..rollout }))
    }

    /// A ledger that was lost, as far as the retained releases tell: what ran is not installed over, and of a
    /// candidate there may be objects.
    pub fn rebuild(retained: &[Retained]) -> Self {
        let all = |state| {
            let kept = retained.iter().filter(move |kept| kept.state == state);
            kept.map(|kept| kept.release.clone())
        };
        Self {
            current: all(RetainedState::Current).next(),
            previous: all(RetainedState::Previous).next(),
            touched: all(RetainedState::Candidate).collect(),
            ..Self::default()
        }
    }

    pub fn phase(&self) -> Phase {
        self.state.phase()
    }

    /// The release whose health decides now.
    pub fn watched(&self) -> Option<&Release> {
        match &self.state {
            State::Verifying { .. } => self.operation.as_ref()?.target.as_ref(),
            State::RollingBack { back: Back::Verify { .. }, .. } => self.current.as_ref(),
            State::Pending
            | State::Waiting { .. }
            | State::Pulling
            | State::Staging
            | State::Checking { .. }
            | State::Applying { .. }
            | State::Pruning { .. }
            | State::Available
            | State::Rejected { .. }
            | State::RollingBack { .. }
            | State::RolledBack { .. }
            | State::Failed { .. }
            | State::Removing { .. } => None,
        }
    }

    /// The release that is kept as it is: what others change of it is put back.
    pub fn kept(&self) -> Option<&Release> {
        match &self.state {
            State::Available | State::RolledBack { .. } => self.current.as_ref(),
            State::Pending
            | State::Waiting { .. }
            | State::Pulling
            | State::Staging
            | State::Checking { .. }
            | State::Applying { .. }
            | State::Verifying { .. }
            | State::Pruning { .. }
            | State::Rejected { .. }
            | State::RollingBack { .. }
            | State::Failed { .. }
            | State::Removing { .. } => None,
        }
    }

    /// Time spent since this direction's first write.
    pub fn spent(&self) -> Duration {
        match &self.state {
            State::Applying { spent, .. }
            | State::Verifying { spent, .. }
            | State::Pruning { spent }
            | State::RollingBack { spent, .. } => *spent,
            State::Pending
            | State::Waiting { .. }
            | State::Pulling
            | State::Staging
            | State::Checking { .. }
            | State::Available
            | State::Rejected { .. }
            | State::RolledBack { .. }
            | State::Failed { .. }
            | State::Removing { .. } => Duration::ZERO,
        }
    }

    /// Equal but for time spent, which may be saved later.
    pub fn same_but_for_time(&self, other: &Rollout) -> bool {
        let still = |rollout: &Rollout| {
            let patience = Patience { rest: Duration::ZERO, ..rollout.patience.clone() };
            Rollout { state: rollout.state.but_for_time(), patience, ..rollout.clone() }
        };
        still(self) == still(other)
    }
}

/// History entries kept.
const MOST_HISTORY: usize = 20;

impl Rollout {
    /// Begins an operation; the one before has ended.
    pub(crate) fn open(
        mut self,
        kind: OperationKind,
        target: Option<Release>,
        reason: Reason,
        asked: Asked,
        now: Timestamp,
    ) -> Self {
        self.sequence = self.sequence.saturating_add(1);
        self.operation = Some(Operation {
            kind,
            sequence: self.sequence,
            target,
            result: OperationResult::InProgress,
            started: now,
            completed: None,
            reason,
            message: String::new(),
            verified: false,
            asked,
        });
        self
    }

    /// Ends the operation and enters it into the history.
    pub(crate) fn finish(mut self, result: OperationResult, said: Fault, now: Timestamp) -> Self {
        let Some(operation) = &mut self.operation else { return self };
        operation.result = result;
        operation.reason = said.reason;
        operation.message = said.message;
        operation.completed = Some(now.max(operation.started));
        let entry = operation.entry();
        self.history.retain(|old| old.sequence != entry.sequence);
        self.history.insert(0, entry);
        self.history.truncate(MOST_HISTORY);
        self
    }
}

impl Operation {
    pub fn entry(&self) -> HistoryEntry {
        HistoryEntry {
            sequence: self.sequence,
            version: self.target.as_ref().map(|target| target.version.to_string()),
            digest: self.target.as_ref().map(|target| target.digest.clone()),
            operation: self.kind,
            result: self.result,
            started_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.started),
            completion_time: self
                .completed
                .map(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time),
            reason: self.reason.name().to_owned(),
            verified: self.verified,
        }
    }
}
