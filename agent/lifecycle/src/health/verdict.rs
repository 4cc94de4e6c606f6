//! The health of a release: of all its objects together.

use super::hooks::HookStatus;
use super::status::{Health, HealthStatus};
use crate::object::Object;
use crate::redaction::Redaction;

/// The health of a release. Each text is a message for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All objects are `Current`.
    Healthy,
    /// All objects are `Current` except for preexisting failures that are tolerated, which the message names.
    Tolerated(String),
    /// Some objects are not `Current`, and none is `Failed`; the message names the first.
    InProgress(String),
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
        let mut unhealthy = Vec::new();
        for (object, health) in healths {
            let message = || format!("{}: {}", object.key(), health.message);
            match health.status {
                HealthStatus::Current => {}
                HealthStatus::Failed => return Verdict::Failed(message()),
                HealthStatus::InProgress
                | HealthStatus::Terminating
                | HealthStatus::NotFound
                | HealthStatus::Unknown => unhealthy.push(message()),
            }
        }
        first_of(&unhealthy).map_or(Verdict::Healthy, Verdict::InProgress)
    }

    /// Adds the messages of tolerated failures to a healthy verdict.
    pub fn with_tolerated(self, tolerated: &[String]) -> Self {
        match (self, first_of(tolerated)) {
            (Verdict::Healthy, Some(message)) => Verdict::Tolerated(message),
            (verdict, _) => verdict,
        }
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
        self.healthy_message().is_some()
    }

    /// Returns the message of a healthy verdict: the tolerated failures, or nothing. None if the verdict is not healthy.
    pub fn healthy_message(&self) -> Option<&str> {
        match self {
            Verdict::Healthy => Some(""),
            Verdict::Tolerated(message) => Some(message),
            Verdict::InProgress(_) | Verdict::Failed(_) | Verdict::AwaitingHooks { .. } => None,
        }
    }

    /// Replaces secret values in the message: an object may repeat them in its status.
    pub fn redacted(self, redaction: &Redaction) -> Self {
        match self {
            Verdict::Healthy => Verdict::Healthy,
            Verdict::Tolerated(message) => Verdict::Tolerated(redaction.redact(&message)),
            Verdict::InProgress(message) => Verdict::InProgress(redaction.redact(&message)),
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
