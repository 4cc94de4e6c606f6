//! Operations, in progress or ended, and the assignments that they answer.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::api::{HistoryEntry, OperationKind, OperationResult};
use crate::bundle::hook::HookRun;
use crate::bundle::release::Release;
use crate::ledger::left_behind::{KeptObject, Leftover, describe_kept, describe_leftovers};
use crate::object::ObjectKey;
use crate::plan::waves::Wave;
use crate::reason::Reason;
use crate::rollback_safety::{Blocker, RollbackSafety};
use crate::spec::requirement::Requirement;
use crate::spec::version_range::is_older;

/// Kept and refused objects and leftovers of which the cause is recorded and shown: an etcd object is small.
const MAX_CAUSES: usize = 5;

/// One attempt to change what runs, or to remove it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// The kind of change.
    pub kind: OperationKind,
    /// Its number among the operations of this ledger.
    pub sequence: u64,
    /// The release to which it leads; absent where the assignment could not be read, and for an uninstall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Release>,
    /// The text of `spec.version`, where the assignment could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread_version: Option<String>,
    /// How it ended.
    pub result: OperationResult,
    /// When it was initiated.
    pub started: Timestamp,
    /// When it ended; absent while it is in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<Timestamp>,
    /// Why it is where it is, or why it ended so.
    pub reason: Reason,
    /// The same for a person, as one line of at most 1024 bytes.
    pub message: String,
    /// Whether the bundle's digest was verified.
    #[serde(default)]
    pub verified: bool,
    /// ConfigMap with evidence of its failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// The assignment that it answers.
    pub assignment: AssignmentKey,
    /// Whether a rollback from the target would work, as judged before the first write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_safety: Option<RollbackSafety>,
    /// The blockers that a person accepted by a retry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_blockers: Vec<Blocker>,
    /// Warnings of the check, for a person. They stop nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Requirements of the target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
    /// All objects that a rollback left as they were. Only the first five have the message of their cause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_objects: Vec<KeptObject>,
    /// All objects that a rollback could not write so far. Only the first five have the message of their cause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused_objects: Vec<KeptObject>,
    /// Leftovers of its last removal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<Leftover>,
}

/// The identity of an assignment.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AssignmentKey {
    /// The assigned release; absent where the assignment could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Generation of the whole spec: a rejected assignment is tried again when anything in it changes.
    pub generation: i64,
    /// Value of the annotation `retry`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
}

impl AssignmentKey {
    /// Returns whether both ask for the same release, and no retry was requested in between.
    pub fn is_same_request(&self, other: &AssignmentKey) -> bool {
        self.release == other.release && self.retry == other.retry
    }
}

impl Operation {
    /// Begins an operation.
    pub(crate) fn new(
        kind: OperationKind,
        sequence: u64,
        target: Option<Release>,
        reason: Reason,
        assignment: AssignmentKey,
        started: Timestamp,
    ) -> Self {
        Self {
            kind,
            sequence,
            target,
            unread_version: None,
            result: OperationResult::InProgress,
            started,
            completed: None,
            reason,
            message: String::new(),
            verified: false,
            evidence: None,
            assignment,
            rollback_safety: None,
            accepted_blockers: Vec::new(),
            warnings: Vec::new(),
            requires: Vec::new(),
            kept_objects: Vec::new(),
            refused_objects: Vec::new(),
            leftovers: Vec::new(),
        }
    }

    /// Its entry in the history.
    pub fn entry(&self) -> HistoryEntry {
        let target = self.target.as_ref().map(|target| target.version.to_string());
        HistoryEntry {
            sequence: self.sequence,
            version: target.or_else(|| self.unread_version.clone()),
            digest: self.target.as_ref().map(|target| target.digest.clone()),
            operation: self.kind,
            result: self.result,
            started_time: Time(self.started),
            completion_time: self.completed.map(Time),
            reason: self.reason.name().to_owned(),
            verified: self.verified,
            evidence: self.evidence.clone(),
        }
    }

    /// The mark on the Jobs that this operation runs as hooks.
    pub(crate) fn hook_run(&self) -> HookRun {
        HookRun::new(self.sequence, self.started)
    }

    /// Returns whether it has not ended.
    pub(crate) fn is_open(&self) -> bool {
        self.completed.is_none()
    }

    /// Returns whether it also answers this assignment: it waits for the same release, or was rejected for exactly this
    /// assignment.
    pub(crate) fn is_resumed_by(&self, assignment: &AssignmentKey) -> bool {
        if self.is_open() {
            return self.assignment.is_same_request(assignment);
        }
        self.result == OperationResult::Failed
            && !self.reason.is_after_first_write()
            && self.assignment == *assignment
    }

    /// Returns the kind of the operation that follows this one when version `to` is assigned again while it runs: a rollback
    /// only from a newer version.
    pub(crate) fn return_kind(&self, to: &Version) -> OperationKind {
        let unread = self.unread_version.as_ref().and_then(|text| Version::parse(text).ok());
        let assigned = self.assignment.release.as_ref().map(|release| release.version.clone());
        match assigned.or(unread) {
            Some(version) if !is_older(to, &version) => OperationKind::Upgrade,
            Some(_) | None => OperationKind::Rollback,
        }
    }

    /// Why this operation succeeded.
    pub(crate) fn success_reason(&self) -> Reason {
        match self.kind {
            OperationKind::Install => Reason::InstallSucceeded,
            OperationKind::Upgrade => Reason::UpgradeSucceeded,
            OperationKind::Rollback => Reason::RollbackSucceeded,
            OperationKind::Uninstall => Reason::Removing,
        }
    }

    /// Records how a rollback wrote a wave: what it kept and what was refused in place of what is known of this wave.
    pub(crate) fn record_restored_wave(
        &mut self,
        wave: Wave,
        kept: &[KeptObject],
        refused: &[KeptObject],
    ) {
        for (known, newest) in
            [(&mut self.kept_objects, kept), (&mut self.refused_objects, refused)]
        {
            let is_newest =
                |object: &ObjectKey| newest.iter().any(|newest| newest.object == *object);
            known.retain(|known| known.object.wave() != wave && !is_newest(&known.object));
            known.extend_from_slice(newest);
            for known in known.iter_mut().skip(MAX_CAUSES) {
                known.cause.message.clear();
            }
        }
    }

    /// Records the leftovers of a removal. Only the first five keep the message of their cause.
    pub(crate) fn record_leftovers(&mut self, leftovers: &[Leftover]) {
        self.leftovers = leftovers.to_vec();
        for leftover in self.leftovers.iter_mut().skip(MAX_CAUSES) {
            if let Leftover::Refused { cause, .. } = leftover {
                cause.message.clear();
            }
        }
    }

    /// Returns whether a rollback wrote every object.
    pub(crate) fn is_all_restored(&self) -> bool {
        self.kept_objects.is_empty() && self.refused_objects.is_empty()
    }

    /// The message for a person; once the operation ended, with all that it left behind.
    pub fn full_message(&self) -> String {
        if self.is_open() {
            return self.message.clone();
        }
        let refused = describe_kept("could not be restored", &self.refused_objects);
        let kept = describe_kept("left as they are", &self.kept_objects);
        format!("{}{}{refused}{kept}", self.message, describe_leftovers(&self.leftovers))
    }
}
