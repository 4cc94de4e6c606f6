//! The context of a status, and the reason and message that its fields and conditions share.

use crate::at_rest::DriftCondition;
use crate::ledger::operation::Operation;
use crate::ledger::rollout::Rollout;
use crate::ledger::state::{Rollback, State};
use crate::names::annotation;
use crate::reason::{Reason, printable};

/// Everything that the status shows besides the ledger.
#[derive(Clone, Debug, Default)]
pub struct StatusContext {
    /// Generation of the `ManagedAddOn`.
    pub generation: Option<i64>,
    /// The text of `spec.version`.
    pub desired_version: Option<String>,
    /// Why no hub assigns this add-on any more.
    pub orphaned: Option<String>,
    /// Why the release at rest is unhealthy.
    pub degradation: Option<String>,
    /// Whether the release at rest drifted; absent until it was compared.
    pub drift: Option<DriftCondition>,
    /// Whether the `ManagedAddOn` is deleted and nobody confirmed that this is an order.
    pub is_deletion_unconfirmed: bool,
}

/// Returns why a rollout is where it is.
pub fn reason(rollout: &Rollout) -> Reason {
    match &rollout.state {
        State::Pending => Reason::Assigned,
        State::Waiting { reason } | State::Rejected { reason, .. } => *reason,
        State::RollingBack(Rollback { given_up: Some(cause), .. })
        | State::RollingBack(Rollback { cause, .. })
        | State::Failed { cause } => cause.reason,
        State::RolledBack { cause } => match &rollout.operation {
            Some(operation) if operation.reason == Reason::RollbackIncomplete => operation.reason,
            Some(_) | None => cause.reason,
        },
        State::Pulling
        | State::Staging
        | State::Checking { .. }
        | State::PreUpgrade { .. }
        | State::Applying { .. }
        | State::Verifying(_)
        | State::Pruning { .. }
        | State::Available
        | State::Removing { .. } => {
            rollout.operation.as_ref().map_or(Reason::Progressing, |operation| operation.reason)
        }
    }
}

/// Returns the message that explains the reason; empty if there is none.
pub(super) fn message(rollout: &Rollout, context: &StatusContext) -> String {
    if context.is_deletion_unconfirmed {
        return format!(
            "deleted by the klusterlet; nothing is removed until the hub confirms that the deletion was ordered. To decide \
             by hand, set the annotation {} to ordered or evicted",
            annotation::REMOVAL
        );
    }
    printable(&rollout.operation.as_ref().map_or(String::new(), Operation::full_message))
}
