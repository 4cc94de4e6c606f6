//! What was not whole before an upgrade and is no worse after it does not fail it: at the edge some node is always off.
//! Only workloads whose pods can be counted are excused; `docs/health.md` says what "no worse" means in numbers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fields::{count, number};
use super::generic::behind;
use super::workload::{replicas, updated};
use super::{Health, HealthStatus};
use crate::object::{Object, ObjectKey};

/// So many are remembered: the ledger is small, and where more is not whole an upgrade has no business.
const MOST: usize = 16;

/// A workload that was not whole before the first write.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PreexistingFailure {
    pub key: ObjectKey,
    /// Pods that were wanted and not there.
    pub missing: i64,
}

/// What of the running version is not whole, each living object with its health.
pub fn ill<'a>(
    looked: impl IntoIterator<Item = (&'a Object, &'a Health)>,
) -> Vec<PreexistingFailure> {
    let one = |(living, health): (&Object, &Health)| {
        let pods = Pods::of(living)?;
        let missing = pods.wanted - pods.there;
        let is_ill = health.status != HealthStatus::Current && missing > 0;
        is_ill.then(|| PreexistingFailure { key: living.key(), missing })
    };
    looked.into_iter().filter_map(one).take(MOST).collect()
}

/// How long what was not whole gets to become so, and whether anything else has to be.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance<'a> {
    pub before: &'a [PreexistingFailure],
    pub since: Duration,
    pub grace: Duration,
    /// Going back promises no more than what was.
    pub back: bool,
}

impl Tolerance<'_> {
    /// Changes what is excused: awaited for the grace, `Current` after that; returns a word about each. A version of which
    /// no pod at all is there has proved nothing, so then only the way back is excused.
    pub fn make(&self, looked: &mut [(&Object, &mut Health)]) -> Vec<String> {
        let mut excused = Vec::new();
        if !self.back && !looked.iter().any(|(living, _)| has_new_pods(living)) {
            return excused;
        }
        for (living, health) in looked {
            let Some(better) = self.one(living, health) else { continue };
            excused.push(format!("{}: {}", living.key(), better.message));
            **health = better;
        }
        excused
    }

    fn one(&self, living: &Object, health: &Health) -> Option<Health> {
        match health.status {
            HealthStatus::InProgress | HealthStatus::Failed => {}
            HealthStatus::Current
            | HealthStatus::Terminating
            | HealthStatus::NotFound
            | HealthStatus::Unknown => return None,
        }
        let ill = self.before.iter().find(|ill| ill.key == living.key())?;
        if behind(living).is_some() || Pods::of(living)?.missing()? > ill.missing {
            return None;
        }
        let message = format!("{}; it was so before", health.message);
        if self.since < self.grace {
            return Some(Health::in_progress(message));
        }
        Some(Health::current_but(message))
    }
}

/// Pods of a workload, as its status counts them.
struct Pods {
    wanted: i64,
    updated: i64,
    there: i64,
    /// Pods of an older template are among those that are there.
    mixed: bool,
}

impl Pods {
    /// None for kinds of which it cannot be told.
    fn of(living: &Object) -> Option<Self> {
        let count = |pointer| count(living, pointer);
        match (living.group(), living.kind()) {
            ("apps", "Deployment") => Some(Self {
                wanted: replicas(living),
                updated: count("/status/updatedReplicas"),
                there: count("/status/availableReplicas"),
                mixed: count("/status/replicas") > count("/status/updatedReplicas"),
            }),
            ("apps", "StatefulSet") => Some(Self {
                wanted: replicas(living),
                updated: updated(living),
                there: count("/status/readyReplicas"),
                mixed: false,
            }),
            ("apps", "DaemonSet") => Some(Self {
                wanted: number(living, "/status/desiredNumberScheduled")?,
                updated: count("/status/updatedNumberScheduled"),
                there: count("/status/numberAvailable"),
                mixed: false,
            }),
            _ => None,
        }
    }

    /// Pods that are not there or not of the newest template. Where both are counted apart, each has to be in bounds.
    fn missing(&self) -> Option<i64> {
        (!self.mixed).then(|| self.wanted - self.updated.min(self.there))
    }
}

fn has_new_pods(living: &Object) -> bool {
    let pods = Pods::of(living).filter(|_| behind(living).is_none());
    pods.is_some_and(|pods| !pods.mixed && pods.updated.min(pods.there) > 0)
}
