//! The agent itself: it observes, saves, and executes actions in memory.

use std::time::Duration;

use lifecycle::health::HookStatus;
use lifecycle::{
    Action, DeletionIntent, ManagedAddOnStatus, Outcome, Release, ReleaseId, Retained,
    RetainedState, Rollout, StatusContext, evidence, status, step,
};

use super::{Scene, StepRecord};

impl Scene {
    pub fn observe(mut self) -> Self {
        let before = std::mem::take(&mut self.rollout);
        let after = step(before.clone(), &self.seen, self.now);
        self.saved = self.status_of(&after.rollout);
        if !after.rollout.equals_except_time(&before) {
            self.written = self.saved.clone();
        }
        self.rollout = after.rollout.clone();
        self.action = after.action.clone();
        self.wake = after.wake;
        let phase = self.rollout.phase().name();
        self.transcript.push(format!("{phase} | {} | {}", self.action_text(), self.message()));
        self.steps.push(StepRecord { before, seen: self.seen.clone(), now: self.now, after });
        (self.seen.outcome, self.seen.verdict) = (None, None);
        self.seen.elapsed = Duration::ZERO;
        self
    }

    pub fn status_of(&self, rollout: &Rollout) -> ManagedAddOnStatus {
        let context = StatusContext {
            generation: Some(self.seen.generation),
            desired_version: self.seen.assigned_release().map(|it| it.version.to_string()),
            is_deletion_unconfirmed: self.seen.deletion_intent == DeletionIntent::Unconfirmed,
            ..self.context.clone()
        };
        status(rollout, &context, &self.saved.conditions, self.now)
    }

    /// Another agent takes over. It does not know the outcome of an action that was going on.
    pub fn restart(mut self) -> Self {
        self.rollout = Rollout::load(&self.written).expect("a ledger").unwrap_or_default();
        if self.rollout.is_under_way() {
            self.rollout = self.rollout.count_crash();
            self.written = self.status_of(&self.rollout);
        }
        self.observe()
    }

    /// Forgets the steps so far.
    pub fn without_transcript(mut self) -> Self {
        self.steps.clear();
        self.transcript.clear();
        self
    }

    pub fn loses_status(mut self) -> Self {
        self.rollout = Rollout::rebuild(&self.seen.retained);
        self.observe()
    }

    /// Executes the action.
    pub fn succeed(&mut self) -> Option<Outcome> {
        Some(match self.action.take()? {
            Action::AddFinalizer => {
                self.seen.has_finalizer = true;
                Outcome::FinalizerAdded
            }
            Action::Pull => Outcome::Pulled,
            Action::Stage => {
                let staged = self.rollout.operation.as_ref().and_then(|it| it.target.clone());
                self.retain(staged.expect("a target"));
                Outcome::Staged
            }
            Action::Check { .. } => Outcome::Checked(self.check_report.clone()),
            Action::RunHooks { .. } => Outcome::HooksRan(HookStatus::Succeeded),
            Action::Apply { wave, .. } => {
                Outcome::Applied { wave, kept: Vec::new(), refused: Vec::new() }
            }
            Action::SaveEvidence { failure } => {
                Outcome::EvidenceSaved(evidence::config_map_name("add-on", failure.sequence))
            }
            Action::Prune { .. } => Outcome::Pruned { leftovers: Vec::new() },
            Action::Retain { states } => {
                self.set_states(&states);
                Outcome::Retained
            }
            Action::Remove { .. } => Outcome::Removed { leftovers: Vec::new() },
            Action::RemoveFinalizer | Action::Recreate => {
                self.seen.retained.clear();
                self.gone = true;
                Outcome::FinalizerRemoved
            }
        })
    }

    fn retain(&mut self, release: Release) {
        if !self.seen.is_retained(&release.id) {
            self.seen.retained.push(Retained { release, state: RetainedState::Candidate });
        }
    }

    fn set_states(&mut self, states: &[(ReleaseId, RetainedState)]) {
        let state =
            |release: &Release| states.iter().find(|(id, _)| id == &release.id).map(|it| it.1);
        self.seen.retained.retain(|retained| state(&retained.release).is_some());
        for retained in &mut self.seen.retained {
            retained.state = state(&retained.release).unwrap_or(retained.state);
        }
    }
}
