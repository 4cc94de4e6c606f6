//! Operations, going on or ended, and the assignments they answer.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

use crate::api::{HistoryEntry, OperationKind, OperationResult};
use crate::bundle::hook::HookRun;
use crate::bundle::release::Release;
use crate::ledger::history;
use crate::ledger::rollout::Rollout;
use crate::object::ObjectKey;
use crate::reason::{Fault, Reason};
use crate::rollback_safety::Safety;
use crate::spec::requirement::Requirement;

/// One attempt to change what runs, or to remove it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    pub kind: OperationKind,
    pub sequence: u64,
    /// What is being gone to; absent where the assignment could not even be read, and on removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Release>,
    /// What `spec.version` said where the rest of the assignment could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    pub result: OperationResult,
    pub started: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<Timestamp>,
    pub reason: Reason,
    pub message: String,
    /// The bundle's digest was verified.
    #[serde(default)]
    pub verified: bool,
    /// Where what was seen of its failure is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// The assignment this answers.
    pub asked: AssignmentKey,
    /// What was judged of going back from the target, before the first write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety: Option<Safety>,
    /// What stood in the way of going back when a person asked to go on all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<String>,
    /// What the check warned of; it stops nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the target needs of other add-ons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
    /// What going back left as it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// What makes an assignment another one.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AssignmentKey {
    /// Absent where the assignment could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Of the whole spec: a refusal is looked at again when anything in it changes.
    pub generation: i64,
    /// The retry annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
}

impl AssignmentKey {
    /// The same release, and nobody asked to try it again.
    pub fn same_release(&self, other: &AssignmentKey) -> bool {
        self.release == other.release && self.retry == other.retry
    }
}

impl Operation {
    /// The mark on the Jobs that this operation runs as hooks.
    pub(crate) fn hook_run(&self) -> HookRun {
        HookRun::new(self.sequence, self.started)
    }

    pub fn entry(&self) -> HistoryEntry {
        let target = self.target.as_ref().map(|target| target.version.to_string());
        HistoryEntry {
            sequence: self.sequence,
            version: target.or_else(|| self.unread.clone()),
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
}

impl Rollout {
    /// Going back could not put this object back, and said so.
    pub fn left_as_is(&self, key: &ObjectKey) -> bool {
        let told = format!("{key}: ");
        let left = self.operation.iter().flat_map(|operation| &operation.left);
        left.into_iter().any(|left| left.starts_with(&told))
    }

    /// Begins an operation; the one before has ended.
    pub(crate) fn open(
        mut self,
        kind: OperationKind,
        target: Option<Release>,
        reason: Reason,
        asked: AssignmentKey,
        now: Timestamp,
    ) -> Self {
        self.sequence = self.sequence.saturating_add(1);
        self.operation = Some(Operation {
            kind,
            sequence: self.sequence,
            target,
            unread: None,
            result: OperationResult::InProgress,
            started: now,
            completed: None,
            reason,
            message: String::new(),
            verified: false,
            evidence: None,
            asked,
            safety: None,
            accepted: Vec::new(),
            warnings: Vec::new(),
            requires: Vec::new(),
            left: Vec::new(),
        });
        self
    }

    /// Ends the operation and enters it into the history.
    pub(crate) fn finish(mut self, result: OperationResult, said: Fault, now: Timestamp) -> Self {
        let Some(operation) = &mut self.operation else { return self };
        operation.result = result;
        operation.reason = said.reason;
        operation.message = said.message;
        operation.completed = Some(now.max(operation.started));
        let entry = operation.entry();
        self.history.retain(|old| old.sequence != entry.sequence);
        self.history.insert(0, entry);
        self.history = history::prune(self.history);
        self
    }
}
