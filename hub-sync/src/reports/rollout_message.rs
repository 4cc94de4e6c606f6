//! The message about a rollout in the conditions `Rollout` and `Progressing`. Pure.

use lifecycle::{ManagedAddOnStatus, OperationKind, Phase};

/// Returns operation, versions, times and the status message on one line, such as `Upgrade from 1.4.0 to 1.5.0 started
/// 2026-01-01T10:00:00Z: 1 of 2 ready`.
pub fn rollout_message(phase: Phase, status: &ManagedAddOnStatus) -> String {
    let operation = status.operation.map_or("Nothing", OperationKind::name);
    let (from, to) = versions(phase, status);
    let versions = [("from", from.map(str::to_owned)), ("to", to.map(str::to_owned))];
    let times = [("started", &status.started_time), ("completed", &status.completion_time)];
    let times = times.map(|(word, time)| (word, time.as_ref().map(|time| time.0.to_string())));
    let mut message = operation.to_owned();
    for (word, value) in versions.into_iter().chain(times) {
        message.extend(value.map(|value| format!(" {word} {value}")));
    }
    message.extend(status.message.iter().map(|details| format!(": {details}")));
    message
}

/// The version that an operation leaves and the one it leads to.
fn versions(phase: Phase, status: &ManagedAddOnStatus) -> (Option<&str>, Option<&str>) {
    let (current, desired) = (status.current_version.as_deref(), status.desired_version.as_deref());
    match phase {
        Phase::Available if status.operation == Some(OperationKind::Install) => (None, current),
        Phase::Available => (status.previous_version.as_deref(), current),
        Phase::RollingBack | Phase::RolledBack => (abandoned_version(status), current),
        Phase::Removing => (current, None),
        Phase::Pending
        | Phase::Waiting
        | Phase::Pulling
        | Phase::Staging
        | Phase::Checking
        | Phase::Applying
        | Phase::Verifying
        | Phase::Pruning
        | Phase::Rejected
        | Phase::Failed => (current, desired),
    }
}

/// The version that a rollback leaves. After a requested rollback it is not the desired one any more, so that only the
/// history knows it.
fn abandoned_version(status: &ManagedAddOnStatus) -> Option<&str> {
    let current = status.current_version.as_deref();
    let mut attempted = status.history.iter().map(|entry| entry.version.as_deref());
    let desired = status.desired_version.as_deref().filter(|desired| Some(*desired) != current);
    desired.or_else(|| attempted.find(|version| *version != current).flatten())
}
