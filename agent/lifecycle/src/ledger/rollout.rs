//! A rollout: all that the agent does to bring an add-on to its assignment, and the ledger of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::{HistoryEntry, ManagedAddOnStatus, OperationKind, Phase};
use crate::bundle::hook::HookRun;
use crate::bundle::release::Release;
use crate::health::PreexistingFailure;
use crate::ledger::failure::Failure;
use crate::ledger::operation::Operation;
use crate::ledger::retained::{Retained, RetainedState};
use crate::ledger::retry::RetryState;
use crate::ledger::state::{AtRest, State, Verified};
use crate::reason::{Fault, Reason};
use crate::spec::assignment::Assignment;
use crate::spec::requirement::Requirement;

/// The format of the ledgers that this agent writes and reads. The first release has 1; ledgers of development versions
/// before it are not read. Any other format is refused: the agent does not guess what a ledger means.
pub const FORMAT: u32 = 1;

/// The saved state of a rollout.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Always [`FORMAT`].
    pub format: u32,
    /// Where the rollout is.
    pub state: State,
    /// The last release that was available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Release>,
    /// Requirements of the current release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
    /// The release that was available before the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Release>,
    /// Releases of which objects may exist, besides the current one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touched: Vec<Release>,
    /// Workloads that lacked pods before the first write. They fail nothing while they are no worse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preexisting_failures: Vec<PreexistingFailure>,
    /// The newest operation, in progress or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// A failure whose evidence is not saved yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The attempts at the present place.
    #[serde(default)]
    pub retry_state: RetryState,
    /// How many operations were begun. The newest one has this number.
    #[serde(default)]
    pub sequence: u64,
    /// How often another version became available.
    #[serde(default)]
    pub transitions: i32,
    /// Past operations, newest first. Saved next to the ledger, as `status.history`.
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
            preexisting_failures: Vec::new(),
            operation: None,
            failure: None,
            retry_state: RetryState::default(),
            sequence: 0,
            transitions: 0,
            history: Vec::new(),
        }
    }
}

/// How a ledger is read, and what takes its place if it is lost.
impl Rollout {
    /// Reads the ledger of a status; `None` if there is none.
    ///
    /// # Errors
    /// `UnknownLedger`: the ledger has another format, or cannot be read.
    pub fn load(status: &ManagedAddOnStatus) -> Result<Option<Self>, Fault> {
        let Some(saved) = &status.rollout else { return Ok(None) };
        let format = saved.get("format").and_then(serde_json::Value::as_u64);
        if format != Some(u64::from(FORMAT)) {
            let format = format.map_or("unknown".to_owned(), |format| format.to_string());
            let message = format!(
                "the ledger's format is {format}, this agent reads {FORMAT}; run the agent that wrote it"
            );
            return Err(Fault::new(Reason::UnknownLedger, message));
        }
        let rollout: Self = serde_json::from_value(saved.clone()).map_err(|e| {
            Fault::new(Reason::UnknownLedger, format!("the ledger cannot be read: {e}"))
        })?;
        Ok(Some(Self { history: status.history.clone(), ..rollout }))
    }

    /// Rebuilds a lost ledger from the retained releases. The current release is not installed again, and objects of all
    /// others may exist. The target of a requested rollback is retained as the previous release until it runs, so the
    /// previous release counts as touched.
    pub fn rebuild(retained: &[Retained]) -> Self {
        let all = |state| {
            let matching = retained.iter().filter(move |retained| retained.state == state);
            matching.map(|retained| retained.release.clone())
        };
        Self {
            current: all(RetainedState::Current).next(),
            previous: all(RetainedState::Previous).next(),
            touched: all(RetainedState::Candidate).chain(all(RetainedState::Previous)).collect(),
            ..Self::default()
        }
    }

    /// Returns the ledger for a `ManagedAddOn` that succeeds another one with the same spec: the answer to the
    /// predecessor's generation is the answer to the successor's.
    pub fn for_successor(mut self, generation: i64, successor_generation: i64) -> Self {
        if let Some(operation) = &mut self.operation {
            let is_answer = operation.assignment.generation == generation;
            operation.assignment.generation = if is_answer { successor_generation } else { 0 };
        }
        self
    }

    /// Returns the ledger for a new `ManagedAddOn` of the same name, after the deletion of the old one. Nothing runs. If
    /// the removal was not `done`, objects of the old releases may exist.
    pub(crate) fn for_new_add_on(self, done: bool) -> Self {
        let touched =
            if done { Vec::new() } else { self.touched.into_iter().chain(self.current).collect() };
        let operation = self.operation.filter(|operation| !operation.is_open());
        let rollout = Self { current: None, previous: None, touched, operation, ..self };
        rollout.enter(State::Pending)
    }

    /// Returns whether two ledgers differ in spent time at most, which may be saved later.
    pub fn equals_except_time(&self, other: &Rollout) -> bool {
        let without_times = |rollout: &Rollout| {
            let retry_state = RetryState { backoff: Duration::ZERO, ..rollout.retry_state.clone() };
            Rollout { state: rollout.state.without_times(), retry_state, ..rollout.clone() }
        };
        without_times(self) == without_times(other)
    }
}

/// Where a rollout is, and which releases matter there.
impl Rollout {
    /// The phase, as users and metrics see it.
    pub fn phase(&self) -> Phase {
        self.state.traits().phase
    }

    /// Time spent since this direction's first write; while pruning, since that began.
    pub fn spent(&self) -> Duration {
        self.state.traits().spent
    }

    /// Enters a state. Attempts are counted afresh in another state.
    pub(crate) fn enter(self, state: State) -> Self {
        let retry_state =
            if self.state == state { self.retry_state } else { RetryState::default() };
        Self { state, retry_state, ..self }
    }

    /// The release to which the operation leads.
    pub(crate) fn target(&self) -> Option<&Release> {
        self.operation.as_ref()?.target.as_ref()
    }

    /// Returns whether no objects of any release but the current one can exist.
    pub(crate) fn is_untouched(&self) -> bool {
        self.touched.iter().all(|touched| Some(touched) == self.current.as_ref())
    }

    /// Returns whether a crash of the agent may have been caused by what it did for this rollout.
    pub fn is_under_way(&self) -> bool {
        let phase = self.phase();
        let rests = phase.is_settled() || matches!(phase, Phase::Pending | Phase::Waiting);
        !rests || self.failure.is_some()
    }

    /// The release whose health decides what comes next. `None` in a crash loop, too: assessing it may be what crashes the
    /// agent.
    pub fn release_under_verification(&self) -> Option<&Release> {
        if self.retry_state.is_crash_loop() {
            return None;
        }
        match self.state.traits().verified? {
            Verified::Target => self.target(),
            Verified::Current => self.current.as_ref(),
        }
    }

    /// The current release if it is at rest. `None` while another release is on its way.
    pub fn release_at_rest(&self) -> Option<&Release> {
        let is_at_rest = match self.state.traits().at_rest {
            AtRest::Yes => true,
            AtRest::IfUntouched => self.is_untouched(),
            AtRest::No => false,
        };
        self.current.as_ref().filter(|_| is_at_rest)
    }

    /// The run of the hooks that verify the release, where they count. A rollback runs none.
    pub fn verify_run(&self) -> Option<HookRun> {
        let operation = self.operation.as_ref()?;
        let runs_hooks = match operation.kind {
            OperationKind::Install | OperationKind::Upgrade => true,
            OperationKind::Rollback | OperationKind::Uninstall => false,
        };
        let is_verifying = matches!(self.state, State::Verifying(_));
        (runs_hooks && is_verifying).then(|| operation.hook_run())
    }

    /// Requirements of the current release and of the release that is being written.
    pub(crate) fn requirements(&self) -> Vec<Requirement> {
        let is_written = |operation: &&Operation| {
            operation.target.as_ref().is_some_and(|target| self.touched.contains(target))
        };
        let written = self.operation.iter().filter(is_written);
        let current = self.current.iter().flat_map(|_| &self.requires);
        let mut requirements: Vec<Requirement> = Vec::new();
        for requirement in current.chain(written.flat_map(|operation| &operation.requires)) {
            if !requirements.contains(requirement) {
                requirements.push(requirement.clone());
            }
        }
        requirements
    }

    /// Records the requirements of the assigned release. Once another one is assigned, nothing else knows them.
    pub(crate) fn record_requirements(mut self, assignment: &Assignment) -> Self {
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

    /// Counts the target among the releases of which objects may exist, before its first write.
    pub(crate) fn touch_target(mut self) -> Self {
        if let Some(target) = self.target().cloned()
            && !self.touched.contains(&target)
        {
            self.touched.push(target);
        }
        self
    }

    /// Makes the target the current release.
    pub(crate) fn promote_target(mut self) -> Self {
        let Some(operation) = &self.operation else { return self };
        let Some(target) = operation.target.clone() else { return self };
        if self.current.as_ref() != Some(&target) {
            self.requires.clone_from(&operation.requires);
            self.previous = self.current.replace(target);
            self.transitions = self.transitions.saturating_add(1);
        }
        self
    }

    /// Forgets all other releases: no objects of them exist any more.
    pub(crate) fn forget_touched(mut self) -> Self {
        self.touched.clear();
        self.preexisting_failures.clear();
        self
    }
}
