//! How a ledger is read and compared, and what takes its place if it is lost or belongs to another `ManagedAddOn`.

use std::time::Duration;

use crate::api::ManagedAddOnStatus;
use crate::ledger::retained::{Retained, RetainedState};
use crate::ledger::retry::RetryState;
use crate::ledger::rollout::{FORMAT, Rollout};
use crate::ledger::state::State;
use crate::reason::{Fault, Reason};

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
        let touched = if done { Vec::new() } else { self.removable(None) };
        let operation = self.operation.filter(|operation| !operation.is_open());
        let unpruned = Vec::new();
        let rollout = Self { current: None, previous: None, touched, unpruned, operation, ..self };
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
