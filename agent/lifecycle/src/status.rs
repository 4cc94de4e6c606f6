//! What is shown of a rollout: the status of a `ManagedAddOn` as a function of the ledger.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::{ManagedAddOnStatus, OperationResult, Phase};
use crate::at_rest::DriftCondition;
use crate::ledger::rollout::Rollout;
use crate::ledger::state::State;
use crate::reason::{Reason, printable};

/// What the status shows beside the ledger.
#[derive(Clone, Debug, Default)]
pub struct StatusContext {
    pub generation: Option<i64>,
    pub desired_version: Option<String>,
    /// Why nobody assigns this add-on any more.
    pub orphaned: Option<String>,
    /// What of the release at rest is not well.
    pub unwell: Option<String>,
    /// Whether others change the release at rest; absent until somebody looked.
    pub drifted: Option<DriftCondition>,
    /// It is being deleted, and it is not known yet whether that is an order.
    pub unclear: bool,
}

pub fn status(
    rollout: &Rollout,
    beside: &StatusContext,
    before: &[Condition],
    now: Timestamp,
) -> ManagedAddOnStatus {
    let version = |release: &Option<crate::Release>| {
        release.as_ref().map(|release| release.version.to_string())
    };
    let operation = rollout.operation.as_ref();
    ManagedAddOnStatus {
        observed_generation: beside.generation,
        phase: Some(rollout.phase()),
        operation: operation.map(|operation| operation.kind),
        result: operation.map(|operation| operation.result),
        current_version: version(&rollout.current),
        desired_version: beside.desired_version.clone(),
        previous_version: version(&rollout.previous),
        started_time: operation.map(|operation| Time(operation.started)),
        completion_time: operation.and_then(|operation| operation.completed).map(Time),
        reason: Some(reason(rollout).name().to_owned()),
        message: Some(message(rollout, beside)).filter(|message| !message.is_empty()),
        conditions: conditions(rollout, beside, before, now),
        history: rollout.history.clone(),
        rollout: serde_json::to_value(rollout).ok(),
    }
}

/// The one reason for being where it is.
pub fn reason(rollout: &Rollout) -> Reason {
    match &rollout.state {
        State::Pending => Reason::Assigned,
        State::Waiting { reason } | State::Rejected { reason, .. } => *reason,
        State::RollingBack { cause, .. }
        | State::RolledBack { cause }
        | State::Failed { cause } => cause.reason,
        State::Pulling
        | State::Staging
        | State::Checking { .. }
        | State::PreUpgrade { .. }
        | State::Applying { .. }
        | State::Verifying { .. }
        | State::Pruning { .. }
        | State::Available
        | State::Removing { .. } => {
            rollout.operation.as_ref().map_or(Reason::Progressing, |operation| operation.reason)
        }
    }
}

/// What a person can do where the hub cannot be asked.
const UNCLEAR: &str = "deleted by the klusterlet, and nothing is removed before the hub says whether that was ordered; the \
    annotation lifecycle.open-cluster-management.io/removal: ordered or evicted says it by hand";

fn message(rollout: &Rollout, beside: &StatusContext) -> String {
    if beside.unclear {
        return UNCLEAR.to_owned();
    }
    printable(rollout.operation.as_ref().map_or("", |operation| &operation.message))
}

/// The agent goes or went back by itself, or what was asked failed or is half there.
fn is_degraded(rollout: &Rollout) -> bool {
    let phase = rollout.phase();
    let asked = matches!(rollout.state, State::RollingBack { asked: true, .. });
    let failed = matches!(phase, Phase::RolledBack | Phase::Failed | Phase::RollingBack);
    failed && !asked || phase == Phase::Rejected && !rollout.touched.is_empty()
}

fn conditions(
    rollout: &Rollout,
    beside: &StatusContext,
    before: &[Condition],
    now: Timestamp,
) -> Vec<Condition> {
    let phase = rollout.phase();
    let because = reason(rollout);
    let stalled = matches!(
        rollout.state,
        State::Rejected { again: None, .. } | State::RolledBack { .. } | State::Failed { .. }
    );
    // What is known of the release at rest says nothing once another is on its way.
    let at_rest = rollout.release_at_rest().is_some();
    let unwell = beside.unwell.as_ref().filter(|_| at_rest).map(|unwell| printable(unwell));
    let said = message(rollout, beside);
    let (health, about) = match &unwell {
        Some(unwell) => (Reason::RunningUnhealthy, unwell),
        None => (because, &said),
    };
    let available = phase == Phase::Available;
    let (ready, about_ready) = if available { (health, about) } else { (because, &said) };
    let verified = verified(rollout);
    let (digest, compared) = match verified {
        "True" => ("DigestVerified", "the bundle is what its digest says"),
        _ => (because.name(), said.as_str()),
    };
    let degraded = is_degraded(rollout) || unwell.is_some();
    let about = if degraded { about } else { "" };
    let mut rows = vec![
        ["Ready", truth(available && unwell.is_none()), ready.name(), about_ready],
        ["Reconciling", truth(!phase.is_settled()), because.name(), &said],
        ["Stalled", truth(stalled), because.name(), &said],
        ["Degraded", truth(degraded), health.name(), about],
        ["Verified", verified, digest, compared],
    ];
    let drifted = beside.drifted.as_ref().filter(|_| at_rest);
    let drifted = drifted.map(|told| (told, printable(&told.message)));
    rows.extend(drifted.as_ref().map(|(told, message)| {
        ["Drifted", truth(told.is_drifted), told.reason.name(), message.as_str()]
    }));
    // An install has none: there is nothing to go back to.
    let safety =
        rollout.operation.as_ref().and_then(|operation| operation.rollback_safety.as_ref());
    let safety = safety.map(|safety| (safety, printable(&safety.message())));
    rows.extend(safety.as_ref().map(|(safety, message)| {
        ["RollbackSafe", safety.status(), safety.reason(), message.as_str()]
    }));
    rows.extend(beside.orphaned.as_ref().map(|why| ["Orphaned", "True", "NoAssignment", why]));
    rows.into_iter().map(|row| condition(before, row, beside.generation, now)).collect()
}

fn verified(rollout: &Rollout) -> &'static str {
    match &rollout.operation {
        Some(operation) if operation.verified => "True",
        Some(operation) if operation.result == OperationResult::Failed => "False",
        _ => "Unknown",
    }
}

fn truth(is: bool) -> &'static str {
    if is { "True" } else { "False" }
}

/// The time of the last transition changes only with the status.
fn condition(
    before: &[Condition],
    [kind, status, reason, message]: [&str; 4],
    generation: Option<i64>,
    now: Timestamp,
) -> Condition {
    let since = before.iter().find(|old| old.type_ == kind && old.status == status);
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: generation,
        last_transition_time: since.map_or(Time(now), |old| old.last_transition_time.clone()),
    }
}
