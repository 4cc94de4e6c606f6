//! Kubernetes events on the `ManagedAddOn`, as `kubectl describe` shows them.

use std::time::Duration;

use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use lifecycle::names::annotation;
use lifecycle::{
    Failure, Fault, ManagedAddOn, Phase, Reason, Release, Rollout, digest, printable, reason,
};
use tokio::time::timeout;

/// Longest time that a rollout waits for its event.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The reason of an event about objects that a removal keeps. All other events have a [`Reason`].
const KEPT: &str = "Kept";

/// Records events. All of it is best effort: a lost event changes nothing.
pub struct Events {
    recorder: Recorder,
}

impl Events {
    /// Prepares to record events as `addon-agent`.
    pub fn new(client: Client) -> Self {
        let reporter = Reporter { controller: "addon-agent".to_owned(), instance: None };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// Records the phase of a rollout, if it is one that matters to a person.
    pub async fn record_phase(&self, add_on: &ManagedAddOn, rollout: &Rollout, message: &str) {
        let Some(type_) = type_of_phase(rollout.phase()) else { return };
        let sequence = rollout.operation.as_ref().map_or(0, |operation| operation.sequence);
        let event = Event {
            type_,
            reason: reason(rollout).name().to_owned(),
            note: Some(note_of_phase(rollout, message)),
            // Events that differ only in the note become one series, which keeps the first note.
            action: format!("{}/{sequence}", rollout.phase().name()),
            secondary: None,
        };
        self.publish(&event, add_on).await;
    }

    /// Records that the agent cannot read the ledger. It leaves the status alone, so only an event can say so.
    pub async fn record_unreadable_ledger(&self, add_on: &ManagedAddOn, fault: &Fault) {
        let event = Event {
            type_: EventType::Warning,
            reason: fault.reason.name().to_owned(),
            note: Some(fault.message.clone()),
            action: "UnreadableLedger".to_owned(),
            secondary: None,
        };
        self.publish(&event, add_on).await;
    }

    /// Records the objects that a removal keeps in the cluster.
    pub async fn record_kept_objects(&self, add_on: &ManagedAddOn, kept: &[String]) {
        let note = format!(
            "not removed: {}; to remove them too, annotate the ManagedAddOn with {}",
            kept.join(", "),
            annotation::DELETE_DATA
        );
        let event = Event {
            type_: EventType::Warning,
            reason: KEPT.to_owned(),
            note: Some(printable(&note)),
            // Another list has to be another event, because a series keeps the first note.
            action: format!("Kept/{}", &digest(note.as_bytes())["sha256:".len()..][..12]),
            secondary: None,
        };
        self.publish(&event, add_on).await;
    }

    /// Records the removal of an add-on that others require. `requirements` says which and by which.
    pub async fn record_required_by_others(&self, add_on: &ManagedAddOn, requirements: &[String]) {
        let note =
            format!("removed although other add-ons require it: {}", requirements.join(", "));
        let event = Event {
            type_: EventType::Warning,
            reason: Reason::RequiredByOthers.name().to_owned(),
            note: Some(printable(&note)),
            action: "Removing/RequiredByOthers".to_owned(),
            secondary: None,
        };
        self.publish(&event, add_on).await;
    }

    /// Records the name of the ConfigMap with the evidence of a failure.
    pub async fn record_evidence(&self, add_on: &ManagedAddOn, failure: &Failure, name: &str) {
        let version = &failure.release.version;
        let event = Event {
            type_: EventType::Normal,
            reason: failure.cause.reason.name().to_owned(),
            note: Some(format!("evidence of the failure of {version} is in ConfigMap {name}")),
            action: format!("Evidence/{}", failure.sequence),
            secondary: None,
        };
        self.publish(&event, add_on).await;
    }

    /// Records that the version at rest became degraded, with the cause, or that it recovered.
    pub async fn record_health(&self, add_on: &ManagedAddOn, degraded: Option<&str>) {
        let (type_, action) = match degraded {
            Some(_) => (EventType::Warning, "Degraded"),
            None => (EventType::Normal, "Recovered"),
        };
        let event = Event {
            type_,
            reason: Reason::RunningUnhealthy.name().to_owned(),
            note: Some(printable(degraded.unwrap_or("the running version is healthy again"))),
            action: action.to_owned(),
            secondary: None,
        };
        self.publish(&event, add_on).await;
    }

    async fn publish(&self, event: &Event, add_on: &ManagedAddOn) {
        let reference = add_on.object_ref(&());
        match timeout(TIMEOUT, self.recorder.publish(event, &reference)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "could not record an event"),
            Err(_) => tracing::debug!("could not record an event in time"),
        }
    }
}

fn note_of_phase(rollout: &Rollout, message: &str) -> String {
    match (rollout.phase(), message) {
        (_, "") => describe_operation(rollout),
        (Phase::Applying, warnings) => {
            printable(&format!("{}; {warnings}", describe_operation(rollout)))
        }
        (_, message) => message.to_owned(),
    }
}

/// Returns the operation and its versions: `Upgrade from 1.4.0 to 1.5.0`.
fn describe_operation(rollout: &Rollout) -> String {
    let Some(operation) = &rollout.operation else { return rollout.phase().name().to_owned() };
    let version = |preposition: &str, release: Option<&Release>| {
        release.map_or(String::new(), |release| format!(" {preposition} {}", release.version))
    };
    let from = version("from", rollout.current.as_ref());
    let to = version("to", operation.target.as_ref());
    format!("{}{from}{to}", operation.kind.name())
}

/// Returns the type of a phase's event, or `None` for a phase without an event.
fn type_of_phase(phase: Phase) -> Option<EventType> {
    match phase {
        Phase::Applying | Phase::Available | Phase::Removing | Phase::Waiting => {
            Some(EventType::Normal)
        }
        Phase::Rejected | Phase::RollingBack | Phase::RolledBack | Phase::Failed => {
            Some(EventType::Warning)
        }
        Phase::Pending
        | Phase::Pulling
        | Phase::Staging
        | Phase::Checking
        | Phase::Verifying
        | Phase::Pruning => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const DOCUMENTATION: &str = include_str!("../../../docs/metrics.md");

    #[test]
    fn the_table_of_events_has_the_type_of_each_phase_with_an_event() {
        let mut documented = BTreeMap::new();
        for [event, type_, _] in rows().filter(|[event, ..]| event.contains("begins")) {
            documented.extend(words(event).into_iter().map(|phase| (phase, words(type_))));
        }
        let phases = Phase::ALL.iter().filter_map(|phase| {
            let type_ = match type_of_phase(*phase)? {
                EventType::Normal => "Normal",
                EventType::Warning => "Warning",
            };
            Some((phase.name(), vec![type_]))
        });
        assert_eq!(documented, phases.collect());
    }

    #[test]
    fn the_table_of_events_names_only_known_reasons() {
        let documented: Vec<&str> = rows().flat_map(|[_, _, reason]| words(reason)).collect();
        assert!(documented.contains(&KEPT));
        for reason in documented.into_iter().filter(|reason| *reason != KEPT) {
            assert!(Reason::ALL.iter().any(|known| known.name() == reason), "{reason}");
        }
    }

    /// Returns event, type and reason of each row.
    fn rows() -> impl Iterator<Item = [&'static str; 3]> {
        let lines = DOCUMENTATION.lines().skip_while(|line| !line.starts_with("| event"));
        let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
        rows.filter_map(|row| row.split('|').skip(1).take(3).collect::<Vec<_>>().try_into().ok())
    }

    /// Returns the words in backticks.
    fn words(cell: &str) -> Vec<&str> {
        cell.split('`').skip(1).step_by(2).collect()
    }
}
