//! Preexisting failures: workloads that lacked pods before an upgrade do not fail it while they are no worse. At the edge
//! some node is always off. Only workloads whose pods are counted are tolerated; `docs/health.md` defines "no worse" in
//! numbers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fields::{count_at, number_at};
use super::generic::assess_generation;
use super::status::{Health, HealthStatus};
use super::workload::{desired_replicas, updated_replicas};
use crate::kind::KnownKind;
use crate::object::{Object, ObjectKey};
use crate::reason::printable;

/// At most this many workloads are recorded: the ledger is small, and nobody should upgrade where more are unhealthy.
const MAX_RECORDED: usize = 16;

/// A workload that lacked pods before the first write of an upgrade.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PreexistingFailure {
    /// The workload: a Deployment, StatefulSet or DaemonSet.
    pub key: ObjectKey,
    /// Desired pods minus those that were available, at least 1.
    pub missing: i64,
}

/// A preexisting failure that is tolerated.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ToleratedFailure {
    /// The workload.
    pub object: ObjectKey,
    /// Its health, for a person, as in "1 of 2 pods available; no worse than before".
    pub message: String,
}

impl ToleratedFailure {
    /// Returns it with its message as one line of at most 1024 bytes, for the ledger.
    pub(crate) fn truncated(&self) -> Self {
        Self { object: self.object.clone(), message: printable(&self.message) }
    }
}

impl std::fmt::Display for ToleratedFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.object, self.message)
    }
}

/// Returns the end of a message about tolerated failures: empty, or `; but …`. It names the first one and counts the others.
pub(crate) fn describe_tolerated(tolerated: &[ToleratedFailure]) -> String {
    match tolerated {
        [] => String::new(),
        [only] => format!("; but {only}"),
        [first, others @ ..] => format!("; but {first} (and {} more)", others.len()),
    }
}

/// Returns the workloads of the running version that lack pods, from its living objects and their health. At most 16.
pub fn preexisting_failures<'a>(
    objects: impl IntoIterator<Item = (&'a Object, &'a Health)>,
) -> Vec<PreexistingFailure> {
    let failure = |(object, health): (&Object, &Health)| {
        let pods = PodCounts::read(object)?;
        let missing = pods.desired - pods.available;
        let is_failure = health.status != HealthStatus::Current && missing > 0;
        is_failure.then(|| PreexistingFailure { key: object.key(), missing })
    };
    objects.into_iter().filter_map(failure).take(MAX_RECORDED).collect()
}

/// The rule that a preexisting failure which is no worse does not fail a rollout.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance<'a> {
    /// The failures that were recorded before the first write.
    pub failures: &'a [PreexistingFailure],
    /// Time spent since the release was applied.
    pub since_apply: Duration,
    /// For so long a tolerated workload is `InProgress`, so that the release may still repair it.
    pub grace: Duration,
    /// Whether nothing is tolerated before one new pod is available: a version without any has proved nothing. False in
    /// a rollback, which promises no more than what was there before.
    pub requires_new_pods: bool,
}

impl Tolerance<'_> {
    /// Changes the health of tolerated workloads: to `InProgress` for the grace period, then to `Current`. Returns
    /// them.
    pub fn apply(&self, objects: &mut [(&Object, &mut Health)]) -> Vec<ToleratedFailure> {
        let mut tolerated = Vec::new();
        if self.requires_new_pods && !objects.iter().any(|(object, _)| has_new_pods(object)) {
            return tolerated;
        }
        for (object, health) in objects {
            let Some(better) = self.tolerate(object, health) else { continue };
            let message = better.message.clone();
            tolerated.push(ToleratedFailure { object: object.key(), message });
            **health = better;
        }
        tolerated
    }

    /// Returns the health that counts instead, if the workload is tolerated.
    fn tolerate(&self, object: &Object, health: &Health) -> Option<Health> {
        if !health.status.is_in_progress_or_failed() {
            return None;
        }
        let key = object.key();
        let failure = self.failures.iter().find(|failure| failure.key == key)?;
        let is_observed = assess_generation(object).is_none();
        if !is_observed || PodCounts::read(object)?.missing()? > failure.missing {
            return None;
        }
        let message = format!("{}; no worse than before", health.message);
        if self.since_apply < self.grace {
            return Some(Health::in_progress(message));
        }
        Some(Health::current_with(message))
    }
}

/// The pods of a workload, as its status counts them.
struct PodCounts {
    desired: i64,
    updated: i64,
    available: i64,
    /// Whether pods of an older template may be among the available ones.
    has_old_pods: bool,
}

impl PodCounts {
    /// None for kinds that do not count their pods.
    fn read(object: &Object) -> Option<Self> {
        let count = |pointer| count_at(object, pointer);
        if object.is(KnownKind::Deployment) {
            Some(Self {
                desired: desired_replicas(object),
                updated: count("/status/updatedReplicas"),
                available: count("/status/availableReplicas"),
                has_old_pods: count("/status/replicas") > count("/status/updatedReplicas"),
            })
        } else if object.is(KnownKind::StatefulSet) {
            Some(Self {
                desired: desired_replicas(object),
                updated: updated_replicas(object),
                available: count("/status/readyReplicas"),
                has_old_pods: false,
            })
        } else if object.is(KnownKind::DaemonSet) {
            Some(Self {
                desired: number_at(object, "/status/desiredNumberScheduled")?,
                updated: count("/status/updatedNumberScheduled"),
                available: count("/status/numberAvailable"),
                has_old_pods: false,
            })
        } else {
            None
        }
    }

    /// Pods that are not available or not of the newest template, whichever are more. None while old pods make the counts
    /// say nothing about the new ones.
    fn missing(&self) -> Option<i64> {
        (!self.has_old_pods).then(|| self.desired - self.updated.min(self.available))
    }
}

fn has_new_pods(object: &Object) -> bool {
    let is_observed = assess_generation(object).is_none();
    let pods = PodCounts::read(object).filter(|_| is_observed);
    pods.is_some_and(|pods| !pods.has_old_pods && pods.updated.min(pods.available) > 0)
}
