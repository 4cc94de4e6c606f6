//! The health of a release: of all its objects together.

use super::hooks::HookStatus;
use super::preexisting::ToleratedFailure;
use super::status::{Health, HealthStatus};
use crate::kind::KnownKind;
use crate::object::Object;
use crate::plan::waves::Wave;
use crate::redaction::Redaction;

/// The health of a release. Each text is a message for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All objects are `Current`.
    Healthy,
    /// All objects are `Current` except for preexisting failures that are tolerated; at least one.
    Tolerated(Vec<ToleratedFailure>),
    /// Some objects are not `Current`, and none is `Failed`; the message names the first.
    InProgress(String),
    /// Some objects do not exist, and none is `Failed`; they have to be written again.
    Missing {
        /// The first wave with such an object.
        wave: Wave,
        /// As of `InProgress`.
        message: String,
    },
    /// An object is `Failed`; the message names it.
    Failed(String),
    /// All objects are `Current`, and hooks that verify the release did not succeed yet.
    AwaitingHooks {
        /// The first such hook, as in "waiting for Job shop/smoke to end".
        awaited: String,
        /// Whether all these hooks were started.
        started: bool,
    },
}

impl Verdict {
    /// Returns one verdict for many objects: the first failure decides, then the first object that is not `Current`. The
    /// message counts the others.
    pub fn combine<'a>(healths: impl IntoIterator<Item = (&'a Object, Health)>) -> Self {
        let (mut unhealthy, mut missing) = (Vec::new(), Vec::new());
        for (object, health) in healths {
            let message = || format!("{}: {}", object.key(), health.message);
            match health.status {
                HealthStatus::Current => {}
                HealthStatus::Failed => return Verdict::Failed(message()),
                HealthStatus::InProgress | HealthStatus::Terminating | HealthStatus::Unknown => {
                    unhealthy.push(message());
                }
                HealthStatus::NotFound => {
                    missing.push(object);
                    unhealthy.push(message());
                }
            }
        }
        let Some(message) = first_of(&unhealthy) else { return Verdict::Healthy };
        // A Job that ran may have been deleted since.
        let missing = missing.iter().filter(|object| !object.is(KnownKind::Job));
        match missing.map(|object| object.wave()).min() {
            Some(wave) => Verdict::Missing { wave, message },
            None => Verdict::InProgress(message),
        }
    }

    /// Adds tolerated failures to a healthy verdict.
    pub fn with_tolerated(self, tolerated: Vec<ToleratedFailure>) -> Self {
        if self == Verdict::Healthy && !tolerated.is_empty() {
            return Verdict::Tolerated(tolerated);
        }
        self
    }

    /// Returns the verdict with the status of the hooks that verify the release. They count only if everything else is
    /// healthy.
    pub fn with_hooks(self, hooks: HookStatus) -> Self {
        if !self.is_healthy() {
            return self;
        }
        match hooks {
            HookStatus::Succeeded => self,
            HookStatus::Failed(message) => Verdict::Failed(message),
            HookStatus::NotStarted(awaited) => Verdict::AwaitingHooks { awaited, started: false },
            HookStatus::Running(awaited) => Verdict::AwaitingHooks { awaited, started: true },
        }
    }

    /// Returns whether the verdict is `Healthy` or `Tolerated`.
    pub fn is_healthy(&self) -> bool {
        match self {
            Verdict::Healthy | Verdict::Tolerated(_) => true,
            Verdict::InProgress(_)
            | Verdict::Missing { .. }
            | Verdict::Failed(_)
            | Verdict::AwaitingHooks { .. } => false,
        }
    }

    /// Replaces secret values in the message: an object may repeat them in its status.
    pub fn redacted(self, redaction: &Redaction) -> Self {
        match self {
            Verdict::Healthy => Verdict::Healthy,
            Verdict::Tolerated(failures) => {
                let redacted = failures.into_iter().map(|failure| ToleratedFailure {
                    message: redaction.redact(&failure.message),
                    ..failure
                });
                Verdict::Tolerated(redacted.collect())
            }
            Verdict::InProgress(message) => Verdict::InProgress(redaction.redact(&message)),
            Verdict::Missing { wave, message } => {
                Verdict::Missing { wave, message: redaction.redact(&message) }
            }
            Verdict::Failed(message) => Verdict::Failed(redaction.redact(&message)),
            Verdict::AwaitingHooks { awaited, started } => {
                Verdict::AwaitingHooks { awaited: redaction.redact(&awaited), started }
            }
        }
    }
}

/// Returns the first message, with the number of the others.
fn first_of(messages: &[String]) -> Option<String> {
    match messages {
        [] => None,
        [only] => Some(only.clone()),
        [first, others @ ..] => Some(format!("{first} (and {} more)", others.len())),
    }
}
