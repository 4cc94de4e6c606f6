//! The status of a `ManagedAddOn`: a function of the ledger and of what was last seen of the release at rest.

mod conditions;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::ManagedAddOnStatus;
use crate::at_rest::DriftCondition;
use crate::bundle::release::Release;
use crate::ledger::rollout::Rollout;
use crate::ledger::state::{Rollback, State};
use crate::reason::{Reason, printable};

/// Shown while it is not known whether a deletion is an order, with what a person can do if the hub is out of reach.
const DELETION_UNCONFIRMED: &str = "deleted by the klusterlet; nothing is removed until the hub confirms that the deletion was ordered. \
    To decide by hand, set the annotation lifecycle.open-cluster-management.io/removal to ordered or evicted";

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

/// Returns the status. `conditions` are those of the last status: one whose status is the same keeps its transition time.
pub fn status(
    rollout: &Rollout,
    context: &StatusContext,
    conditions: &[Condition],
    now: Timestamp,
) -> ManagedAddOnStatus {
    let version =
        |release: &Option<Release>| release.as_ref().map(|release| release.version.to_string());
    let operation = rollout.operation.as_ref();
    ManagedAddOnStatus {
        observed_generation: context.generation,
        phase: Some(rollout.phase()),
        operation: operation.map(|operation| operation.kind),
        result: operation.map(|operation| operation.result),
        current_version: version(&rollout.current),
        desired_version: context.desired_version.clone(),
        previous_version: version(&rollout.previous),
        started_time: operation.map(|operation| Time(operation.started)),
        completion_time: operation.and_then(|operation| operation.completed).map(Time),
        reason: Some(reason(rollout).name().to_owned()),
        message: Some(message(rollout, context)).filter(|message| !message.is_empty()),
        conditions: conditions::conditions(rollout, context, conditions, now),
        history: rollout.history.clone(),
        rollout: serde_json::to_value(rollout).ok(),
    }
}

/// Returns why a rollout is where it is.
pub fn reason(rollout: &Rollout) -> Reason {
    match &rollout.state {
        State::Pending => Reason::Assigned,
        State::Waiting { reason } | State::Rejected { reason, .. } => *reason,
        State::RollingBack(Rollback { cause, .. })
        | State::RolledBack { cause }
        | State::Failed { cause } => cause.reason,
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

fn message(rollout: &Rollout, context: &StatusContext) -> String {
    if context.is_deletion_unconfirmed {
        return DELETION_UNCONFIRMED.to_owned();
    }
    printable(rollout.operation.as_ref().map_or("", |operation| &operation.message))
}
