//! Kubernetes events on the `ManagedAddOn`: one for each phase that a person would want to see in `kubectl describe`.

use std::time::Duration;

use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use lifecycle::names::annotation;
use lifecycle::{
    Failure, Fault, ManagedAddOn, Phase, Reason, Release, Rollout, digest, printable, reason,
};
use tokio::time::timeout;

/// A rollout waits no longer than this for its event.
const PATIENCE: Duration = Duration::from_secs(2);

pub struct Events {
    recorder: Recorder,
}

impl Events {
    pub fn new(client: Client) -> Self {
        let reporter = Reporter { controller: "addon-agent".to_owned(), instance: None };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// Best effort: an event that is lost changes nothing.
    pub async fn record_phase(&self, object: &ManagedAddOn, rollout: &Rollout, message: &str) {
        let Some(type_) = worth(rollout.phase()) else { return };
        let sequence = rollout.operation.as_ref().map_or(0, |operation| operation.sequence);
        let event = Event {
            type_,
            reason: reason(rollout).name().to_owned(),
            note: Some(note(rollout, message)),
            // Events that agree but for the note become one series, which keeps the first note.
            action: format!("{}/{sequence}", rollout.phase().name()),
            secondary: None,
        };
        self.publish(&event, object).await;
    }

    /// A ledger that this agent cannot read is left alone, so that only an event can say so.
    pub async fn record_unreadable_ledger(&self, object: &ManagedAddOn, fault: &Fault) {
        let event = Event {
            type_: EventType::Warning,
            reason: fault.reason.name().to_owned(),
            note: Some(fault.message.clone()),
            action: "LeftAlone".to_owned(),
            secondary: None,
        };
        self.publish(&event, object).await;
    }

    /// What a removal leaves in the cluster on purpose.
    pub async fn record_kept_objects(&self, object: &ManagedAddOn, kept: &[String]) {
        let note = format!(
            "not removed: {}; annotate the ManagedAddOn with {} to remove it too",
            kept.join(", "),
            annotation::DELETE_DATA
        );
        let event = Event {
            type_: EventType::Warning,
            reason: "Kept".to_owned(),
            note: Some(printable(&note)),
            // Another list is another event: of a series the first note stays.
            action: format!("Kept/{}", &digest(note.as_bytes())["sha256:".len()..][..12]),
            secondary: None,
        };
        self.publish(&event, object).await;
    }

    /// What is being removed although others rely on it.
    pub async fn record_missing_dependency(&self, object: &ManagedAddOn, by: &[String]) {
        let note = format!("removed although others here rely on it: {}", by.join(", "));
        let event = Event {
            type_: EventType::Warning,
            reason: Reason::RequiredByOthers.name().to_owned(),
            note: Some(printable(&note)),
            action: "Removing/Missed".to_owned(),
            secondary: None,
        };
        self.publish(&event, object).await;
    }

    /// Where to read of a failure whose objects are gone by now.
    pub async fn record_evidence(&self, object: &ManagedAddOn, failure: &Failure, name: &str) {
        let version = &failure.release.version;
        let event = Event {
            type_: EventType::Normal,
            reason: failure.cause.reason.name().to_owned(),
            note: Some(format!("evidence of {version} is kept in ConfigMap {name}")),
            action: format!("Evidence/{}", failure.sequence),
            secondary: None,
        };
        self.publish(&event, object).await;
    }

    /// What runs is not well any more, or well again.
    pub async fn record_health(&self, object: &ManagedAddOn, unwell: Option<&str>) {
        let (type_, action) = match unwell {
            Some(_) => (EventType::Warning, "Degraded"),
            None => (EventType::Normal, "Recovered"),
        };
        let event = Event {
            type_,
            reason: Reason::RunningUnhealthy.name().to_owned(),
            note: Some(printable(unwell.unwrap_or("what runs is well again"))),
            action: action.to_owned(),
            secondary: None,
        };
        self.publish(&event, object).await;
    }

    async fn publish(&self, event: &Event, object: &ManagedAddOn) {
        let object = object.object_ref(&());
        match timeout(PATIENCE, self.recorder.publish(event, &object)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "an event was not recorded"),
            Err(_) => tracing::debug!("an event was not recorded in time"),
        }
    }
}

fn note(rollout: &Rollout, message: &str) -> String {
    match (rollout.phase(), message) {
        (_, "") => going(rollout),
        (Phase::Applying, warnings) => printable(&format!("{}; {warnings}", going(rollout))),
        (_, message) => message.to_owned(),
    }
}

/// What is going on, where nothing else is said: `Upgrade from 1.4.0 to 1.5.0`.
fn going(rollout: &Rollout) -> String {
    let Some(operation) = &rollout.operation else { return rollout.phase().name().to_owned() };
    let version = |word: &str, release: Option<&Release>| {
        release.map_or(String::new(), |release| format!(" {word} {}", release.version))
    };
    let from = version("from", rollout.current.as_ref());
    let to = version("to", operation.target.as_ref());
    format!("{}{from}{to}", operation.kind.name())
}

fn worth(phase: Phase) -> Option<EventType> {
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
