//! The status of a `ManagedAddOn`: a function of the ledger and of what was last seen of the release at rest.

mod conditions;
mod context;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::ManagedAddOnStatus;
use crate::bundle::release::Release;
use crate::ledger::rollout::Rollout;
use context::message;
pub use context::{StatusContext, reason};

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
