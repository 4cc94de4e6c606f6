//! By what the health of a release is judged, besides its objects.

use std::sync::Arc;
use std::time::Duration;

use lifecycle::bundle::hook::HookRun;
use lifecycle::health::{Graces, PreexistingFailure, Rules};
use lifecycle::plan::waves::Wave;
use lifecycle::{KnownKind, Object, ObjectKey};

use super::cel_worker::CelWorker;
use crate::cluster::resolved::ResolvedObject;

/// Which Jobs count for the health of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobPolicy {
    All,
    /// A rollback does not run Jobs again.
    Ignored,
    /// A Job that ran and was deleted says nothing about what runs now.
    IfPresent,
}

/// By what a release is judged.
pub struct HealthOptions<'a> {
    /// Time spent since the release was applied.
    pub since_apply: Duration,
    pub jobs: JobPolicy,
    /// Objects that a rollback could not write. Only of workloads the release needs the restored form.
    pub refused: &'a [ObjectKey],
    pub graces: Graces,
    /// The release's own health rules.
    pub rules: &'a Arc<Rules>,
    /// Evaluates them.
    pub cel_worker: &'a CelWorker,
    /// The Jobs of the running version.
    pub running_jobs: &'a [Object],
    /// The workloads that lacked pods before the first write.
    pub preexisting: &'a [PreexistingFailure],
    /// Time spent after which they are tolerated.
    pub tolerated_after: Duration,
    /// The run of verify hooks that has to succeed; none on a rollback.
    pub verify_run: Option<HookRun>,
}

impl HealthOptions<'_> {
    /// Returns whether the health of an object counts, also where it does not exist.
    pub fn counts(&self, object: &ResolvedObject) -> bool {
        let is_ignored_job = self.jobs == JobPolicy::Ignored && object.manifest.is(KnownKind::Job);
        let is_needed = object.wave() == Wave::Workloads || !self.refused.contains(&object.key());
        object.hook().is_none() && !is_ignored_job && is_needed
    }
}
