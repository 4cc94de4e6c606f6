//! Makes an observation of everything that a decision depends on. Reads only.

use std::sync::Arc;
use std::time::Duration;

use lifecycle::names::{FINALIZER, annotation};
use lifecycle::spec::version_range;
use lifecycle::{
    Assignment, Deletion, DeletionIntent, Dependencies, Fault, Observation, Reason, Requirement,
    State,
};
use tokio::time::Instant;

use super::Driver;

impl Driver {
    /// # Errors
    /// The API server's, if it did not answer.
    pub(super) async fn observe(&mut self) -> Result<Observation, kube::Error> {
        let retained = self.release_store.list().await?;
        let kubernetes = self.kubernetes_version().await?;
        let elapsed = self.count_time();
        let verdict = self.verdict().await;
        let assignment = self.assignment().await;
        let has_slot = self.needs_slot(&assignment) && self.take_slot();
        let peers = self.peers.borrow().clone();
        self.dependencies = Dependencies::new(&self.name, &self.requirements(), &peers);
        let add_on = &self.ledger.add_on;
        let policy = add_on.spec.policy.as_ref();
        let mut finalizers = add_on.metadata.finalizers.iter().flatten();
        Ok(Observation {
            assignment,
            spec_version: add_on.spec.version.clone(),
            generation: add_on.metadata.generation.unwrap_or_default(),
            retry: self.annotation(annotation::RETRY).cloned(),
            is_paused: self.annotation(annotation::PAUSED).is_some_and(|paused| paused == "true"),
            ignores_windows: self.annotation(annotation::IGNORE_WINDOWS)
                == Some(&add_on.spec.version),
            deletion_intent: DeletionIntent::read(add_on),
            deletion: policy.and_then(|policy| policy.deletion).unwrap_or(Deletion::Uninstall),
            has_finalizer: finalizers.any(|finalizer| finalizer == FINALIZER),
            has_slot,
            dependencies: self.dependencies.clone(),
            kubernetes,
            retained,
            recovered: self.at_rest.recovered.iter().cloned().collect(),
            outcome: self.outcome.clone(),
            verdict,
            elapsed,
            jitter: fastrand::f64(),
        })
    }

    /// Returns the requirements of the assignment; none while it cannot be read.
    pub(super) fn requirements(&self) -> Vec<Requirement> {
        match &self.assignment {
            Some((_, Ok(assignment))) => assignment.requires.clone(),
            Some((_, Err(_))) | None => Vec::new(),
        }
    }

    /// At rest with the assigned release, there is nothing to roll out. A rollback waits for no other add-on, and holds up
    /// none.
    fn needs_slot(&self, assignment: &Result<Arc<Assignment>, Fault>) -> bool {
        let rollout = &self.ledger.rollout;
        if matches!(rollout.state, State::RollingBack(_)) {
            return false;
        }
        let assigned = assignment.as_ref().ok().map(|assignment| &assignment.release);
        !rollout.phase().is_settled() || assigned != rollout.current.as_ref()
    }

    /// Returns the time since the last observation. It counts only if the API server answered both times.
    fn count_time(&mut self) -> Duration {
        let now = Instant::now();
        self.last_answer.replace(now).map_or(Duration::ZERO, |last| now.duration_since(last))
    }

    /// Reads the API server's version where a range of the assignment may decide.
    async fn kubernetes_version(&self) -> Result<Option<semver::Version>, kube::Error> {
        if self.ledger.add_on.spec.kubernetes.is_none() {
            return Ok(None);
        }
        let info = self.shared.cluster.agent_client().apiserver_version().await?;
        Ok(version_range::parse_kubernetes(&info.git_version))
    }

    /// Returns the assignment, which is read once per generation.
    pub(super) async fn assignment(&mut self) -> Result<Arc<Assignment>, Fault> {
        let generation = self.ledger.add_on.metadata.generation.unwrap_or_default();
        if let Some((known, assignment)) = &self.assignment
            && *known == generation
        {
            return assignment.clone();
        }
        let assignment = self.read_assignment().await.map(Arc::new);
        self.assignment = Some((generation, assignment.clone()));
        assignment
    }

    /// Reads on a thread of its own: unpacking a bundle and compiling health rules would delay other add-ons.
    async fn read_assignment(&self) -> Result<Assignment, Fault> {
        let (spec, namespace) = (self.ledger.add_on.spec.clone(), self.shared.namespace.clone());
        let read = tokio::task::spawn_blocking(move || Assignment::parse(&spec, &namespace)).await;
        read.unwrap_or_else(|_| {
            Err(Fault::new(Reason::InvalidAssignment, "the assignment's parser crashed"))
        })
    }
}
