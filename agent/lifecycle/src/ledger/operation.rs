//! Operations, going on or ended, and the assignments they answer.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

use crate::api::{HistoryEntry, OperationKind, OperationResult};
use crate::bundle::hook::HookRun;
use crate::bundle::release::Release;
use crate::ledger::history;
use crate::ledger::left_behind::{KeptObject, Leftover};
use crate::ledger::rollout::Rollout;
use crate::object::ObjectKey;
use crate::reason::{Fault, Reason};
use crate::rollback_safety::{Blocker, RollbackSafety};
use crate::spec::requirement::Requirement;

/// Kept objects that a message names, each with its cause.
const MAX_KEPT_SHOWN: usize = 5;

/// Leftovers that are recorded: an etcd object is small, and a message names the first one alone.
const MAX_LEFTOVERS: usize = 100;

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
    /// Whether a rollback from the target would work, as judged before the first write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_safety: Option<RollbackSafety>,
    /// The blockers that a person accepted by a retry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_blockers: Vec<Blocker>,
    /// What the check warned of; it stops nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the target needs of other add-ons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
    /// Objects that a rollback left as they were: all of them, those after the fifth without a message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_objects: Vec<KeptObject>,
    /// What the last removal of this operation did not remove; at most a hundred entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<Leftover>,
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

    /// The kept objects as a list for a message; `None` if there are none.
    pub(crate) fn list_kept_objects(&self) -> Option<String> {
        let shown: Vec<_> = self.kept_objects.iter().take(MAX_KEPT_SHOWN).collect();
        let shown: Vec<_> = shown.into_iter().map(|kept| kept.cause.message.as_str()).collect();
        let more = match self.kept_objects.len().saturating_sub(MAX_KEPT_SHOWN) {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        (!shown.is_empty()).then(|| format!("{}{more}", shown.join("; ")))
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
    /// Returns whether the last rollback left this object as it was.
    pub fn is_kept(&self, object: &ObjectKey) -> bool {
        let mut kept = self.operation.iter().flat_map(|operation| &operation.kept_objects);
        kept.any(|kept| &kept.object == object)
    }

    /// Records objects that the rollback left as they were, each once.
    pub(crate) fn record_kept_objects(mut self, objects: &[KeptObject]) -> Self {
        let Some(operation) = &mut self.operation else { return self };
        for KeptObject { object, cause } in objects {
            if operation.kept_objects.iter().any(|kept| &kept.object == object) {
                continue;
            }
            let is_shown = operation.kept_objects.len() < MAX_KEPT_SHOWN;
            let message = if is_shown { cause.message.clone() } else { String::new() };
            let cause = Fault { message, ..cause.clone() };
            operation.kept_objects.push(KeptObject { object: object.clone(), cause });
        }
        self
    }

    /// Records what a removal did not remove.
    pub(crate) fn record_leftovers(mut self, leftovers: &[Leftover]) -> Self {
        if let Some(operation) = &mut self.operation {
            operation.leftovers = leftovers.iter().take(MAX_LEFTOVERS).cloned().collect();
        }
        self
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
            rollback_safety: None,
            accepted_blockers: Vec::new(),
            warnings: Vec::new(),
            requires: Vec::new(),
            kept_objects: Vec::new(),
            leftovers: Vec::new(),
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
