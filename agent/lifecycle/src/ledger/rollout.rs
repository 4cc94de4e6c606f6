//! The ledger: all that has to survive the agent, saved before each action.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::{HistoryEntry, ManagedAddOnStatus, OperationKind, Phase};
use crate::bundle::hook::HookRun;
use crate::bundle::release::Release;
use crate::health::PreexistingFailure;
use crate::ledger::failure::Failure;
use crate::ledger::operation::Operation;
use crate::ledger::retained::{Retained, RetainedState};
use crate::ledger::state::{Judged, Keeps, State};
use crate::reason::{Fault, Reason};
use crate::spec::assignment::Assignment;
use crate::spec::duration::millis;
use crate::spec::requirement::Requirement;

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
    /// What the current release needs of other add-ons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
    /// The release before `current`: what a requested rollback would go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Release>,
    /// Releases beside `current` of which objects may be in the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touched: Vec<Release>,
    /// What was not whole before the first write, and so fails nothing while it is no worse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<PreexistingFailure>,
    /// The newest operation, going on or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// What failed, until evidence of it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    #[serde(default)]
    pub retry_state: RetryState,
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
            requires: Vec::new(),
            previous: None,
            touched: Vec::new(),
            before: Vec::new(),
            operation: None,
            failure: None,
            retry_state: RetryState::default(),
            sequence: 0,
            transitions: 0,
            history: Vec::new(),
        }
    }
}

/// Waiting between tries, counted in spent time.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RetryState {
    /// Tries in a row that failed in passing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// Nothing is done until this much time is gone.
    #[serde(default, with = "millis", skip_serializing_if = "Duration::is_zero")]
    pub backoff: Duration,
    /// Agents in a row that ended here before anything came of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub crashes: u32,
}

/// The same place ends this many agents in a row at most.
const MAX_CRASHES: u32 = 3;

/// What cannot be given up, which is removal alone, rests this long after so many deaths.
const AFTER_CRASHES: Duration = Duration::from_secs(5 * 60);

impl RetryState {
    /// So many agents ended here that it is not tried again at once.
    pub fn is_crash_loop(&self) -> bool {
        self.crashes >= MAX_CRASHES
    }
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

    /// A ledger that was lost, as far as the retained releases tell: what ran is not installed over, and of any
    /// other there may be objects: what is gone back to on request stays retained as the previous one until it runs.
    pub fn rebuild(retained: &[Retained]) -> Self {
        let all = |state| {
            let kept = retained.iter().filter(move |kept| kept.state == state);
            kept.map(|kept| kept.release.clone())
        };
        Self {
            current: all(RetainedState::Current).next(),
            previous: all(RetainedState::Previous).next(),
            touched: all(RetainedState::Candidate).chain(all(RetainedState::Previous)).collect(),
            ..Self::default()
        }
    }

    pub fn phase(&self) -> Phase {
        self.state.traits().phase
    }

    /// To be saved by an agent that finds this ledger when it starts, before it does anything else: if it ends here
    /// like the one before, the next one knows.
    pub fn found_at_start(mut self) -> Self {
        self.retry_state.crashes = self.retry_state.crashes.saturating_add(1);
        if self.retry_state.is_crash_loop() {
            self.retry_state.backoff = self.retry_state.backoff.max(AFTER_CRASHES);
        }
        self
    }

    /// Whether an agent that ends here may have ended because of what it did.
    pub fn is_under_way(&self) -> bool {
        let phase = self.phase();
        let rests = phase.is_settled() || matches!(phase, Phase::Pending | Phase::Waiting);
        !rests || self.failure.is_some()
    }

    /// The release whose health decides now. None where looking at it may be what ends the agent.
    pub fn release_under_verification(&self) -> Option<&Release> {
        if self.retry_state.is_crash_loop() {
            return None;
        }
        match self.state.traits().judged? {
            Judged::Target => self.operation.as_ref()?.target.as_ref(),
            Judged::Current => self.current.as_ref(),
        }
    }

    /// The release that is kept as it is: what others change of it is put back. None while another is on its way.
    pub fn release_at_rest(&self) -> Option<&Release> {
        let at_rest = match self.state.traits().keeps {
            Keeps::Current => true,
            Keeps::CurrentIfUntouched => self.untouched(),
            Keeps::Nothing => false,
        };
        self.current.as_ref().filter(|_| at_rest)
    }

    /// The operation whose verifying hooks are part of health now. Going to an older version re-runs none.
    pub fn verify_run(&self) -> Option<HookRun> {
        let operation = self.operation.as_ref()?;
        let runs_hooks = match operation.kind {
            OperationKind::Install | OperationKind::Upgrade => true,
            OperationKind::Rollback | OperationKind::Uninstall => false,
        };
        (runs_hooks && matches!(self.state, State::Verifying { .. })).then(|| operation.hook_run())
    }

    /// What has to run beside what runs here, and beside what is being written.
    pub(crate) fn relies_on(&self) -> Vec<Requirement> {
        let written = self.operation.iter().filter(|operation| {
            operation.target.as_ref().is_some_and(|target| self.touched.contains(target))
        });
        let current = self.current.iter().flat_map(|_| &self.requires);
        let mut needs: Vec<Requirement> = Vec::new();
        for need in current.chain(written.flat_map(|operation| &operation.requires)) {
            if !needs.contains(need) {
                needs.push(need.clone());
            }
        }
        needs
    }

    /// Keeps what the assigned release needs, as long as it is assigned: nobody else tells it later.
    pub(crate) fn remember_needs(mut self, assignment: &Assignment) -> Self {
        if self.current.as_ref() == Some(&assignment.release) {
            self.requires.clone_from(&assignment.requires);
        }
        if let Some(operation) = &mut self.operation
            && operation.target.as_ref() == Some(&assignment.release)
        {
            operation.requires.clone_from(&assignment.requires);
        }
        self
    }

    /// Time spent since this direction's first write; in Pruning, since that began.
    pub fn spent(&self) -> Duration {
        self.state.traits().spent
    }

    /// For a `ManagedAddOn` that takes the place of another with the same spec: what was an answer to that one's
    /// generation is one to this one's.
    pub fn inherited(mut self, generation: i64, anew: i64) -> Self {
        if let Some(operation) = &mut self.operation {
            let same = operation.asked.generation == generation;
            operation.asked.generation = if same { anew } else { 0 };
        }
        self
    }

    /// Equal but for time spent, which may be saved later.
    pub fn same_but_for_time(&self, other: &Rollout) -> bool {
        let still = |rollout: &Rollout| {
            let retry_state = RetryState { backoff: Duration::ZERO, ..rollout.retry_state.clone() };
            Rollout { state: rollout.state.but_for_time(), retry_state, ..rollout.clone() }
        };
        still(self) == still(other)
    }
}
