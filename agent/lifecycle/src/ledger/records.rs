//! Records of an operation, from its beginning to its end.

use jiff::Timestamp;

use crate::api::{OperationKind, OperationResult};
use crate::bundle::release::Release;
use crate::health::PreexistingFailure;
use crate::ledger::failure::Failure;
use crate::ledger::history;
use crate::ledger::left_behind::{KeptObject, Leftover};
use crate::ledger::operation::{AssignmentKey, Operation};
use crate::ledger::retry::RetryState;
use crate::ledger::rollout::Rollout;
use crate::object::ObjectKey;
use crate::plan::waves::Wave;
use crate::reason::{Fault, Reason, printable};
use crate::rollback_safety::RollbackSafety;
use crate::spec::upgrade_path::operation_kind;

/// The beginning and the end of operations.
impl Rollout {
    /// Begins an operation; the one before has ended.
    pub(crate) fn open(
        mut self,
        kind: OperationKind,
        target: Option<Release>,
        reason: Reason,
        assignment: AssignmentKey,
        now: Timestamp,
    ) -> Self {
        self.sequence = self.sequence.saturating_add(1);
        let operation = Operation::new(kind, self.sequence, target, reason, assignment, now);
        self.operation = Some(operation);
        self
    }

    /// Begins the operation that answers an assignment, or resumes the one that already does and wrote nothing.
    /// `spec_version` is shown where the assignment cannot be read.
    pub(crate) fn answer(
        mut self,
        assignment: AssignmentKey,
        spec_version: &str,
        now: Timestamp,
    ) -> Self {
        if let Some(operation) = &mut self.operation
            && operation.is_resumed_by(&assignment)
        {
            operation.result = OperationResult::InProgress;
            operation.completed = None;
            operation.reason = Reason::Progressing;
            operation.assignment = assignment;
            return self.with_message("");
        }
        let target = assignment.release.clone();
        let kind = match &target {
            Some(target) => operation_kind(self.current.as_ref(), &target.version),
            None if self.current.is_none() => OperationKind::Install,
            None => OperationKind::Upgrade,
        };
        let unread_version = target.is_none().then(|| spec_version.to_owned());
        let rollout = self.supersede(now).open(kind, target, Reason::Progressing, assignment, now);
        rollout.edit(|operation| operation.unread_version = unread_version)
    }

    /// Ends the operation and enters it into the history.
    pub(crate) fn finish(mut self, result: OperationResult, end: Fault, now: Timestamp) -> Self {
        let Some(operation) = &mut self.operation else { return self };
        operation.result = result;
        operation.reason = end.reason;
        operation.message = end.message;
        operation.completed = Some(now.max(operation.started));
        let entry = operation.entry();
        self.history.retain(|old| old.sequence != entry.sequence);
        self.history.insert(0, entry);
        self.history = history::prune(self.history);
        self
    }

    /// Ends the operation without success, if it has not ended.
    pub(crate) fn close(self, cause: Fault, now: Timestamp) -> Self {
        let is_open = self.operation.as_ref().is_some_and(Operation::is_open);
        if is_open { self.finish(OperationResult::Failed, cause, now) } else { self }
    }

    /// Ends the operation, if it has not ended, because another version is assigned.
    pub(crate) fn supersede(self, now: Timestamp) -> Self {
        self.close(Fault::new(Reason::Superseded, "another version was assigned"), now)
    }
}

/// Records while an operation is in progress.
impl Rollout {
    /// Shows a message, as one line of at most 1024 bytes.
    pub(crate) fn with_message(self, message: impl Into<String>) -> Self {
        let message = printable(&message.into());
        self.edit(|operation| operation.message = message)
    }

    /// Shows the warnings of the check, as is done while the release is written.
    pub(crate) fn with_warnings(self) -> Self {
        let warnings = self.operation.as_ref().map_or(&[][..], |operation| &operation.warnings);
        let message = match warnings {
            [] => String::new(),
            some => format!("the check warns: {}", some.join("; ")),
        };
        self.with_message(message)
    }

    /// Records that the bundle's digest was verified, now or when the release was retained.
    pub(crate) fn mark_verified(self) -> Self {
        self.edit(|operation| operation.verified = true)
    }

    /// Records which assignment the operation answers, and forgets the one before.
    pub(crate) fn answer_to(self, assignment: AssignmentKey) -> Self {
        self.edit(|operation| operation.assignment = assignment)
    }

    /// Records the newest key of the assigned target. A retry that was requested before a failure requests nothing after it.
    pub(crate) fn refresh_assignment(self, assignment: AssignmentKey) -> Self {
        let is_same_target = self.target() == assignment.release.as_ref();
        if is_same_target { self.answer_to(assignment) } else { self }
    }

    /// Records the result of a check. An install has no rollback: there is nothing to roll back to.
    pub(crate) fn record_check(
        self,
        rollback_safety: Option<RollbackSafety>,
        warnings: Vec<String>,
    ) -> Self {
        let rollback_safety = rollback_safety.filter(|_| self.current.is_some());
        self.edit(|operation| {
            operation.rollback_safety = rollback_safety;
            operation.warnings = warnings;
        })
    }

    /// Records the workloads that lack pods before the first write. Later it is no longer the running version's doing alone.
    pub(crate) fn record_preexisting_failures(mut self, failures: &[PreexistingFailure]) -> Self {
        if self.is_untouched() {
            self.preexisting_failures = failures.to_vec();
        }
        self
    }

    /// Accepts the blockers that were reported, if a retry of the same release is requested. It accepts none that are found
    /// later.
    pub(crate) fn accept_blockers(self, assignment: AssignmentKey) -> Self {
        self.edit(|operation| {
            let answered = &operation.assignment;
            if answered.release == assignment.release && answered.retry != assignment.retry {
                let safety = operation.rollback_safety.take().unwrap_or_default();
                operation.accepted_blockers = safety.blockers;
                operation.assignment = assignment;
            }
        })
    }

    /// Returns the judgement of the rollback if it has blockers that nobody accepted.
    pub(crate) fn unaccepted_safety(&self) -> Option<&RollbackSafety> {
        let operation = self.operation.as_ref()?;
        let safety = operation.rollback_safety.as_ref()?;
        let is_accepted = |blocker| operation.accepted_blockers.contains(blocker);
        (!safety.blockers.iter().all(is_accepted)).then_some(safety)
    }

    /// Records how a rollback wrote a wave: what it kept, and what was refused.
    pub(crate) fn record_restored_wave(
        self,
        wave: Wave,
        kept: &[KeptObject],
        refused: &[KeptObject],
    ) -> Self {
        self.edit(|operation| operation.record_restored_wave(wave, kept, refused))
    }

    /// Forgets refused objects that are as the release has them by now. With the last of them the rollback is complete.
    pub(crate) fn forget_refused(mut self, recovered: &[ObjectKey]) -> Self {
        let Some(operation) = &mut self.operation else { return self };
        let before = operation.refused_objects.len();
        operation.refused_objects.retain(|refused| !recovered.contains(&refused.object));
        let is_completed = operation.refused_objects.len() < before && operation.is_all_restored();
        if operation.reason != Reason::RollbackIncomplete || !is_completed {
            return self;
        }
        operation.reason = Reason::RollbackSucceeded;
        let entry = operation.entry();
        if let Some(old) = self.history.iter_mut().find(|old| old.sequence == entry.sequence) {
            *old = entry;
        }
        self
    }

    /// The objects that the rollback could not write so far.
    pub fn refused_objects(&self) -> &[KeptObject] {
        self.operation.as_ref().map_or(&[], |operation| &operation.refused_objects)
    }

    /// A workload that the rollback could not write so far. Without it the release is not restored.
    pub(crate) fn refused_workload(&self) -> Option<&ObjectKey> {
        let mut refused = self.refused_objects().iter().map(|refused| &refused.object);
        refused.find(|object| object.wave() == Wave::Workloads)
    }

    /// Returns whether the last rollback left this object as it was.
    pub fn is_kept(&self, object: &ObjectKey) -> bool {
        let mut kept = self.operation.iter().flat_map(|operation| &operation.kept_objects);
        kept.any(|kept| &kept.object == object)
    }

    /// Records the leftovers of a removal.
    pub(crate) fn record_leftovers(self, leftovers: &[Leftover]) -> Self {
        self.edit(|operation| operation.record_leftovers(leftovers))
    }

    /// Has evidence of the operation's failure saved before anything else is done.
    pub(crate) fn request_evidence(mut self, cause: &Fault) -> Self {
        let failure = |operation: &Operation| {
            let release = operation.target.clone()?;
            Some(Failure { sequence: operation.sequence, release, cause: cause.clone() })
        };
        self.failure = self.operation.as_ref().and_then(failure);
        self
    }

    /// Records where the evidence was saved; `None` if it was not. It is tried once: a rollback waits for nothing that can
    /// fail.
    pub(crate) fn record_evidence(mut self, config_map: Option<&str>) -> Self {
        let Some(failure) = self.failure.take() else { return self };
        self.retry_state = RetryState::default();
        let config_map = config_map.map(str::to_owned);
        if let Some(operation) = &mut self.operation
            && operation.sequence == failure.sequence
        {
            operation.evidence.clone_from(&config_map);
        }
        let entry = self.history.iter_mut().find(|entry| entry.sequence == failure.sequence);
        if let Some(entry) = entry {
            entry.evidence = config_map;
        }
        self
    }

    fn edit(mut self, change: impl FnOnce(&mut Operation)) -> Self {
        if let Some(operation) = &mut self.operation {
            change(operation);
        }
        self
    }
}
