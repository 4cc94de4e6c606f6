//! The health of a release: of all its objects together.

use super::{Health, HealthStatus};
use crate::bundle::hook::Ran;
use crate::object::Object;
use crate::redaction::Redaction;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Healthy,
    /// But for what was not whole before and is no worse, in words.
    HealthyBut(String),
    /// Not yet; what is awaited.
    InProgress(String),
    /// An object says it failed, in its own words.
    Failed(String),
    /// All is well, but what verifies it has not ended, or not even begun; which.
    AwaitingHooks {
        what: String,
        begun: bool,
    },
}

impl Verdict {
    /// What is excused is told with what is well.
    pub fn but(self, excused: &[String]) -> Self {
        match (self, excused) {
            (Verdict::Healthy, [one]) => Verdict::HealthyBut(one.clone()),
            (Verdict::Healthy, [one, more @ ..]) => {
                Verdict::HealthyBut(format!("{one} (and {} more)", more.len()))
            }
            (other, _) => other,
        }
    }

    /// Well, with what there is to say of it.
    pub fn well(&self) -> Option<&str> {
        match self {
            Verdict::Healthy => Some(""),
            Verdict::HealthyBut(what) => Some(what),
            Verdict::InProgress(_) | Verdict::Failed(_) | Verdict::AwaitingHooks { .. } => None,
        }
    }

    /// An object's own words may tell what is secret.
    pub fn redacted(self, redaction: &Redaction) -> Self {
        match self {
            Verdict::Healthy => Verdict::Healthy,
            Verdict::HealthyBut(what) => Verdict::HealthyBut(redaction.redact(&what)),
            Verdict::InProgress(what) => Verdict::InProgress(redaction.redact(&what)),
            Verdict::Failed(what) => Verdict::Failed(redaction.redact(&what)),
            Verdict::AwaitingHooks { what, begun } => {
                Verdict::AwaitingHooks { what: redaction.redact(&what), begun }
            }
        }
    }

    /// Hooks that verify a release count once it is well otherwise.
    pub fn proved_by(self, ran: Ran) -> Self {
        match (self, ran) {
            (verdict, _) if verdict.well().is_none() => verdict,
            (well, Ran::Well) => well,
            (_, Ran::Badly(what)) => Verdict::Failed(what),
            (_, Ran::NotBegun(what)) => Verdict::AwaitingHooks { what, begun: false },
            (_, Ran::NotYet(what)) => Verdict::AwaitingHooks { what, begun: true },
        }
    }
}

/// One verdict for many objects: the first failure decides, then the first that is awaited.
pub fn verdict<'a>(healths: impl IntoIterator<Item = (&'a Object, Health)>) -> Verdict {
    let mut awaited = Vec::new();
    for (object, health) in healths {
        let said = || format!("{}: {}", object.key(), health.message);
        match health.status {
            HealthStatus::Current => {}
            HealthStatus::Failed => return Verdict::Failed(said()),
            HealthStatus::InProgress
            | HealthStatus::Terminating
            | HealthStatus::NotFound
            | HealthStatus::Unknown => awaited.push(said()),
        }
    }
    match awaited.len() {
        0 => Verdict::Healthy,
        1 => Verdict::InProgress(awaited.remove(0)),
        more => Verdict::InProgress(format!("{} (and {} more)", awaited.remove(0), more - 1)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_verdict_tells_what_a_secret_of_the_release_holds() {
        let secret =
            Object(json!({"kind": "Secret", "stringData": {"password": "hunter2hunter2"}}));
        let redaction = Redaction::of([&secret]);
        let words = || "bad login hunter2hunter2".to_owned();
        let (begun, hidden) = (true, "bad login ***".to_owned());
        for (told, wanted) in [
            (Verdict::Healthy, Verdict::Healthy),
            (Verdict::HealthyBut(words()), Verdict::HealthyBut(hidden.clone())),
            (Verdict::InProgress(words()), Verdict::InProgress(hidden.clone())),
            (Verdict::Failed(words()), Verdict::Failed(hidden.clone())),
            (
                Verdict::AwaitingHooks { what: words(), begun },
                Verdict::AwaitingHooks { what: hidden.clone(), begun },
            ),
        ] {
            assert_eq!(told.redacted(&redaction), wanted);
        }
    }
}
