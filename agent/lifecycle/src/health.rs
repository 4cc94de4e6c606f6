//! Is it well? Living object in, verdict out. The words and their meanings are those of kstatus
//! (`sigs.k8s.io/cli-utils/pkg/kstatus/status`); `docs/health.md` tells each rule with an example.
//!
//! | what | kstatus | here | why |
//! | --- | --- | --- | --- |
//! | `observedGeneration` | has to equal `generation` | must not be less | a restored object may begin at 1 again |
//! | condition of an older generation | counts | never counts; an old `Ready` is awaited | it speaks of another spec |
//! | `Reconciling` beside `Stalled` | the first in the list | `Reconciling` | whoever still works has not failed |
//! | custom resource without status | Current | InProgress for 30 s | its controller has not looked yet |
//! | Deployment: `Progressing` not `NewReplicaSetAvailable` | InProgress | the counts decide | a paused one never gets there |
//! | Deployment: `ProgressDeadlineExceeded` | Failed | not if set before the apply | going back would fail for the failure it mends |
//! | `ReplicaFailure` (quota, Pod Security) | InProgress | Failed after 2 min | nobody else mends it |
//! | pods of a workload | not seen | their lasting troubles fail it after 2 min | 10 min before the progress deadline |
//! | `StatefulSet` `OnDelete` | Current | ready, and replaced or 2 min gone by | pods are not there yet; nobody may ever replace them |
//! | `DaemonSet` `OnDelete` | InProgress for ever | the same | |
//! | `DaemonSet` on nodes that are away | InProgress | Current | some node is always off |
//! | Pod `Failed` | Current | Failed | it is not what was asked for |
//! | Pod unschedulable | Failed after 15 s | after 2 min | nodes are being added |
//! | Pod crash-looping | Failed at once | after 2 min and 3 restarts | it may wait for another |
//! | Pod whose image or configuration is missing | InProgress | Failed after 2 min | nothing changes by waiting |
//! | Job with `ttlSecondsAfterFinished`, gone | NotFound | Current | it was done and is tidied up |
//! | `ReplicationController` | Current | as a ReplicaSet | its pods are not there yet |
//! | workload of no replicas without status | Current | InProgress | its controller has not looked yet |
//! | `PersistentVolume` that is `Failed` | Current | Failed | nobody reclaims it |
//! | `APIService` | Current | by `Available` | requests to it fail until then |

mod builtin;
mod daemon_set;
mod fields;
mod generic;
mod job;
mod pods;
mod preexisting;
mod rules;
mod stuck_pods;
mod verdict;
mod workload;

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};

use crate::object::Object;

pub(crate) use fields::is_true;
pub use job::absent;
pub use pods::pod_labels;
pub use preexisting::{PreexistingFailure, Tolerance, ill};
pub use rules::Rules;
pub use stuck_pods::{in_the_way, waits_for_pods};
pub use verdict::{Verdict, verdict};

/// kstatus' words.
#[derive(
    Serialize, IntoStaticStr, VariantArray, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord,
)]
pub enum HealthStatus {
    Current,
    InProgress,
    Failed,
    Terminating,
    NotFound,
    Unknown,
}

impl HealthStatus {
    /// Every status, in the order of its documentation.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The status as kstatus spells it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Health {
    pub status: HealthStatus,
    pub message: String,
}

impl Health {
    pub fn current() -> Self {
        Self::current_but("")
    }

    /// It is well, and there is something to know.
    pub fn current_but(message: impl Into<String>) -> Self {
        Self { status: HealthStatus::Current, message: message.into() }
    }

    pub fn in_progress(message: impl Into<String>) -> Self {
        Self { status: HealthStatus::InProgress, message: message.into() }
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self { status: HealthStatus::Failed, message: message.into() }
    }

    pub fn terminating() -> Self {
        Self { status: HealthStatus::Terminating, message: "is being deleted".to_owned() }
    }

    pub fn not_found() -> Self {
        Self { status: HealthStatus::NotFound, message: "does not exist".to_owned() }
    }

    /// It could not be looked at.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self { status: HealthStatus::Unknown, message: message.into() }
    }

    fn current_when(is_current: bool, otherwise: impl FnOnce() -> String) -> Self {
        if is_current { Self::current() } else { Self::in_progress(otherwise()) }
    }
}

/// How long what may pass by itself is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Graces {
    /// A custom resource without status, before it counts as one that never has any. Default: 30 s.
    pub status: Duration,
    /// An unschedulable pod: as long as a cluster takes to add a node. Default: 2 min.
    pub unschedulable: Duration,
    /// Crash loops, images and configuration that are missing, pods that are refused. Default: 2 min.
    pub trouble: Duration,
    /// Pods that wait to be deleted by somebody, as `OnDelete` asks: an operator begins at once. Default: 2 min.
    pub on_delete: Duration,
}

impl Default for Graces {
    fn default() -> Self {
        let (short, long) = (Duration::from_secs(30), Duration::from_secs(120));
        Self { status: short, unschedulable: long, trouble: long, on_delete: long }
    }
}

/// What is known around an object.
#[derive(Clone, Copy, Debug, Default)]
pub struct HealthContext<'a> {
    /// Time spent since it was applied.
    pub since: Duration,
    /// With it, nothing lasts longer than its own timestamps say.
    pub now: Option<Timestamp>,
    /// The object's pods may be among these; none where they may not be seen.
    pub pods: &'a [Object],
    /// All nodes; none where they may not be seen.
    pub nodes: &'a [Object],
    pub graces: Graces,
}

impl HealthContext<'_> {
    /// How long something is so: the shorter of its age and the time spent, so that neither a jump of the clock nor
    /// an old rollout makes it look lasting.
    fn lasting(&self, from: Option<Timestamp>) -> Duration {
        self.age(from).map_or(self.since, |age| age.min(self.since))
    }

    /// It was so before the object was applied.
    fn predates(&self, from: Option<Timestamp>) -> bool {
        self.age(from).is_some_and(|age| age > self.since)
    }

    fn age(&self, from: Option<Timestamp>) -> Option<Duration> {
        let age = self.now?.duration_since(from?);
        Some(Duration::try_from(age).unwrap_or(Duration::ZERO))
    }
}

/// The health of one living object, by itself. `since` is the time spent since it was applied.
pub fn assess(object: &Object, since: Duration) -> Health {
    assess_with(object, &HealthContext { since, ..HealthContext::default() })
}

/// The health of one living object, with what is known around it.
pub fn assess_with(object: &Object, context: &HealthContext) -> Health {
    if object.0.pointer("/metadata/deletionTimestamp").is_some() {
        return Health::terminating();
    }
    if let Some(told) = generic::told(object) {
        return told;
    }
    pods::told(object, by_kind(object, context), context)
}

fn by_kind(object: &Object, context: &HealthContext) -> Health {
    if workload::is_counted(object) && generic::is_silent(object) {
        return Health::in_progress("has no status yet");
    }
    match (object.group(), object.kind()) {
        ("apps", "Deployment") => workload::deployment(object, context),
        ("apps", "StatefulSet") => workload::stateful_set(object, context),
        ("apps", "DaemonSet") => daemon_set::daemon_set(object, context),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => {
            workload::replica_set(object, context)
        }
        ("", "Pod") => pods::pod(object, context),
        ("batch", "Job") => job::job(object),
        ("", "PersistentVolumeClaim") => builtin::claim(object),
        ("", "PersistentVolume") => builtin::volume(object),
        ("", "Service") => builtin::service(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => builtin::definition(object),
        ("apiregistration.k8s.io", "APIService") => builtin::api_service(object),
        // Once observed, these are done.
        ("batch", "CronJob") | ("policy", "PodDisruptionBudget") => Health::current(),
        _ => generic::generic(object, context),
    }
}

#[cfg(test)]
mod tests;
