//! A rollout: all that the agent does to bring an add-on to its assignment, and the ledger of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::{HistoryEntry, OperationKind, Phase};
use crate::bundle::hook::HookRun;
use crate::bundle::release::{Release, ReleaseId};
use crate::health::PreexistingFailure;
use crate::ledger::failure::Failure;
use crate::ledger::left_behind::Leftover;
use crate::ledger::operation::Operation;
use crate::ledger::retained::RetainedState;
use crate::ledger::retry::RetryState;
use crate::ledger::state::{AtRest, State, Verified};
use crate::observation::Observation;
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
    /// Releases of which the last removal left something. They stay retained, and the removal is tried again at rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpruned: Vec<Release>,
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
            unpruned: Vec::new(),
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
        !rests || self.state.is_given_up() || self.failure.is_some()
    }

    /// The release whose health decides what comes next. `None` in a crash loop, too: assessing it may be what crashes the
    /// agent.
    pub fn release_under_verification(&self) -> Option<&Release> {
        if self.retry_state.is_agent_crash_loop() {
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

    /// The releases that stay retained while nothing is rolled out, each with the first state that applies.
    pub(crate) fn retained_states(&self) -> Vec<(ReleaseId, RetainedState)> {
        let current = self.current.iter().map(|release| (release, RetainedState::Current));
        let previous = self.previous.iter().map(|release| (release, RetainedState::Previous));
        let touched = self.touched.iter().chain(&self.unpruned);
        let touched = touched.map(|release| (release, RetainedState::Candidate));
        let mut states: Vec<(ReleaseId, RetainedState)> = Vec::new();
        for (Release { id, .. }, state) in current.chain(previous).chain(touched) {
            if !states.iter().any(|(known, _)| known == id) {
                states.push((id.clone(), state));
            }
        }
        states
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

    /// All releases of which objects may exist, besides the one that stays.
    pub(crate) fn removable(&self, keep: Option<&Release>) -> Vec<Release> {
        let all = self.current.iter().chain(&self.touched).chain(&self.unpruned);
        let mut releases: Vec<Release> = Vec::new();
        for release in all.filter(|release| Some(*release) != keep) {
            if !releases.contains(release) {
                releases.push(release.clone());
            }
        }
        releases
    }

    /// Remembers the releases of which a removal left something, as long as they are retained: without its release an
    /// object cannot be found.
    pub(crate) fn record_unpruned(
        mut self,
        keep: Option<&Release>,
        leftovers: &[Leftover],
        seen: &Observation,
    ) -> Self {
        let mut releases = self.removable(keep);
        releases.retain(|release| !leftovers.is_empty() && seen.is_retained(&release.id));
        self.unpruned = releases;
        self.record_leftovers(leftovers)
    }

    /// Forgets all other releases: no objects of them exist any more, except for those of unpruned ones.
    pub(crate) fn forget_touched(mut self) -> Self {
        self.touched.clear();
        self.preexisting_failures.clear();
        self
    }
}
