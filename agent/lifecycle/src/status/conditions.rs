//! The conditions of a status, one function each.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::context::{StatusContext, message, reason};
use crate::api::{OperationResult, Phase};
use crate::ledger::rollout::Rollout;
use crate::ledger::state::{Rollback, State};
use crate::reason::{Reason, printable};

/// Returns all conditions that apply. One whose status is the same as in `previous` keeps its transition time.
pub(super) fn conditions(
    rollout: &Rollout,
    context: &StatusContext,
    previous: &[Condition],
    now: Timestamp,
) -> Vec<Condition> {
    let shown = Shown::new(rollout, context);
    let always =
        [shown.ready(), shown.reconciling(), shown.stalled(), shown.degraded(), shown.verified()];
    let sometimes = [shown.drifted(), shown.rollback_safe(), shown.orphaned()];
    let rows = always.into_iter().chain(sometimes.into_iter().flatten());
    rows.map(|row| row.into_condition(previous, context.generation, now)).collect()
}

/// Values that several conditions show.
struct Shown<'a> {
    rollout: &'a Rollout,
    context: &'a StatusContext,
    reason: Reason,
    message: String,
    is_at_rest: bool,
    /// Why the release at rest is unhealthy.
    degradation: Option<String>,
}

struct Row {
    kind: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
}

impl<'a> Shown<'a> {
    fn new(rollout: &'a Rollout, context: &'a StatusContext) -> Self {
        // A degradation of the release at rest is outdated once another release is on its way.
        let is_at_rest = rollout.release_at_rest().is_some();
        let degradation = context.degradation.as_ref().filter(|_| is_at_rest);
        Self {
            rollout,
            context,
            reason: reason(rollout),
            message: message(rollout, context),
            is_at_rest,
            degradation: degradation.map(|message| printable(message)),
        }
    }

    fn row(&self, kind: &'static str, is_true: bool) -> Row {
        let (reason, message) = (self.reason.name(), self.message.clone());
        Row { kind, status: truth(is_true), reason, message }
    }

    /// A row with the degradation's reason and message, if there is one.
    fn row_with_degradation(&self, kind: &'static str, is_true: bool) -> Row {
        let row = self.row(kind, is_true);
        match &self.degradation {
            Some(message) => {
                let (reason, message) = (Reason::RunningUnhealthy.name(), message.clone());
                Row { reason, message, ..row }
            }
            None => row,
        }
    }

    fn ready(&self) -> Row {
        match self.rollout.phase() == Phase::Available {
            true => self.row_with_degradation("Ready", self.degradation.is_none()),
            false => self.row("Ready", false),
        }
    }

    fn reconciling(&self) -> Row {
        self.row("Reconciling", !self.rollout.phase().is_settled())
    }

    /// Somebody has to act: nothing is tried again by itself, or only in case that the environment changed.
    fn stalled(&self) -> Row {
        let state = &self.rollout.state;
        let is_stalled = state.is_given_up()
            || matches!(
                state,
                State::Rejected { retry_from: None, .. }
                    | State::RolledBack { .. }
                    | State::Failed { .. }
            );
        self.row("Stalled", is_stalled)
    }

    fn degraded(&self) -> Row {
        let is_degraded = self.is_rollout_degraded() || self.degradation.is_some();
        let row = self.row_with_degradation("Degraded", is_degraded);
        if is_degraded { row } else { Row { message: String::new(), ..row } }
    }

    /// Returns whether the agent rolls or rolled back by itself, or the assignment failed, or is half written.
    fn is_rollout_degraded(&self) -> bool {
        match &self.rollout.state {
            State::RollingBack(Rollback { requested, given_up, .. }) => {
                !requested || given_up.is_some()
            }
            State::RolledBack { .. } | State::Failed { .. } => true,
            State::Rejected { .. } => !self.rollout.touched.is_empty(),
            State::Pending
            | State::Waiting { .. }
            | State::Pulling
            | State::Staging
            | State::Checking { .. }
            | State::PreUpgrade { .. }
            | State::Applying { .. }
            | State::Verifying(_)
            | State::Pruning { .. }
            | State::Available
            | State::Removing { .. } => false,
        }
    }

    fn verified(&self) -> Row {
        let row = self.row("Verified", true);
        match &self.rollout.operation {
            Some(operation) if operation.verified => {
                let message = "the bundle has the assigned digest".to_owned();
                Row { reason: "DigestVerified", message, ..row }
            }
            Some(operation) if operation.result == OperationResult::Failed => {
                Row { status: "False", ..row }
            }
            Some(_) | None => Row { status: "Unknown", ..row },
        }
    }

    fn drifted(&self) -> Option<Row> {
        let drift = self.context.drift.as_ref().filter(|_| self.is_at_rest)?;
        Some(Row {
            kind: "Drifted",
            status: truth(drift.is_drifted),
            reason: drift.reason.name(),
            message: printable(&drift.message),
        })
    }

    /// An install has none: there is nothing to roll back to.
    fn rollback_safe(&self) -> Option<Row> {
        let safety = self.rollout.operation.as_ref()?.rollback_safety.as_ref()?;
        Some(Row {
            kind: "RollbackSafe",
            status: safety.status(),
            reason: safety.reason(),
            message: printable(&safety.message()),
        })
    }

    fn orphaned(&self) -> Option<Row> {
        let message = self.context.orphaned.clone()?;
        Some(Row { kind: "Orphaned", status: "True", reason: "NoAssignment", message })
    }
}

impl Row {
    fn into_condition(
        self,
        previous: &[Condition],
        generation: Option<i64>,
        now: Timestamp,
    ) -> Condition {
        let Row { kind, status, reason, message } = self;
        let same = previous.iter().find(|old| old.type_ == kind && old.status == status);
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: generation,
            last_transition_time: same.map_or(Time(now), |old| old.last_transition_time.clone()),
        }
    }
}

fn truth(is_true: bool) -> &'static str {
    if is_true { "True" } else { "False" }
}
