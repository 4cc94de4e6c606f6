//! Does the action that a transition asks for, unless a newer assignment makes it pointless.

use std::sync::Arc;

use lifecycle::{Action, DeletionIntent, ManagedAddOn, Outcome};
use tokio::sync::watch;

use super::Driver;

impl Driver {
    /// Does an action and keeps its outcome for the next transition. Returns `false` when the `ManagedAddOn` was released.
    ///
    /// Before the first write a newer assignment ends the action.
    pub(super) async fn act(&mut self, action: Action) -> bool {
        tracing::debug!(?action, "acting");
        let is_abandonable = matches!(action, Action::Pull | Action::Stage | Action::Check { .. });
        let releases_add_on = matches!(action, Action::RemoveFinalizer | Action::Recreate);
        let mut changes = self.changes.clone();
        let basis = Basis::of(&self.ledger.add_on);
        let outcome = tokio::select! {
            outcome = self.execute(action) => Some(outcome),
            // A driver whose ManagedAddOn is gone ends with the action.
            () = wait_until_outdated(&mut changes, basis), if is_abandonable => None,
        };
        self.outcome = outcome.map(|outcome| outcome.unwrap_or_else(Outcome::Failed));
        if let Some(Outcome::Failed(fault)) = &self.outcome {
            tracing::info!(
                reason = fault.reason.name(),
                transient = fault.transient,
                cause = fault.message,
                "action failed"
            );
        }
        !(releases_add_on && self.outcome == Some(Outcome::FinalizerRemoved))
    }
}

/// The parts of a `ManagedAddOn` that can make an action pointless. Its status and the agent's own annotations cannot.
#[derive(PartialEq, PartialOrd)]
struct Basis {
    generation: Option<i64>,
    is_removal_ordered: bool,
}

impl Basis {
    fn of(add_on: &ManagedAddOn) -> Self {
        Self {
            generation: add_on.metadata.generation,
            is_removal_ordered: DeletionIntent::read(add_on) == DeletionIntent::Ordered,
        }
    }
}

async fn wait_until_outdated(changes: &mut watch::Receiver<Arc<ManagedAddOn>>, basis: Basis) {
    if changes.wait_for(|newest| Basis::of(newest) > basis).await.is_err() {
        std::future::pending::<()>().await;
    }
}
