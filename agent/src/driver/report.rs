//! Shows a transition to people: in the status, logs, events and metrics.

use lifecycle::names::annotation;
use lifecycle::{DeletionIntent, Operation, Phase, Rollout, StatusContext, reason};

use super::Driver;

impl Driver {
    /// Returns what the status shows in addition to the rollout.
    pub(super) fn status_context(&self) -> StatusContext {
        let add_on = &self.ledger.add_on;
        StatusContext {
            generation: add_on.metadata.generation,
            desired_version: Some(add_on.spec.version.clone()),
            orphaned: self.annotation(annotation::ORPHANED).cloned(),
            degradation: self.at_rest.degradation(),
            drift: self.at_rest.drift().condition().cloned(),
            is_deletion_unconfirmed: DeletionIntent::read(add_on) == DeletionIntent::Unconfirmed,
        }
    }

    /// Records a saved transition in metrics, and a new phase in the log and in an event.
    pub(super) async fn report(&self, before: &Rollout, context: &StatusContext) {
        let after = &self.ledger.rollout;
        let desired = context.desired_version.as_deref();
        self.shared.metrics.record_rollout(&self.name, before, after, desired);
        self.shared.metrics.set_degraded(&self.name, context.degradation.is_some());
        if before.phase() != after.phase() {
            self.report_phase(after).await;
        }
    }

    async fn report_phase(&self, rollout: &Rollout) {
        let phase = rollout.phase();
        let reason = reason(rollout).name();
        let message = rollout.operation.as_ref().map_or(String::new(), Operation::full_message);
        tracing::info!(phase = phase.name(), reason, message, "phase changed");
        self.shared.events.record_phase(&self.ledger.add_on, rollout, &message).await;
        let dependents = self.dependencies.dependents();
        if phase == Phase::Removing && !dependents.is_empty() {
            self.shared.events.record_required_by_others(&self.ledger.add_on, &dependents).await;
        }
    }

    /// Returns an annotation of the `ManagedAddOn`.
    pub(super) fn annotation(&self, name: &str) -> Option<&String> {
        self.ledger.add_on.metadata.annotations.as_ref()?.get(name)
    }
}
