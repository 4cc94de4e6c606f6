//! Gathers one look at the world; reads only.

use std::sync::Arc;
use std::time::Duration;

use lifecycle::health::{Rules, Verdict};
use lifecycle::names::{FINALIZER, annotation};
use lifecycle::spec::version_range;
use lifecycle::{
    Assignment, Deletion, DeletionIntent, Dependencies, Fault, Observation, Reason, Requirement,
    State,
};
use tokio::time::Instant;

use super::Driver;
use crate::actions::health::{self, Jobs, Terms};
use crate::storage::releases::Content;

impl Driver {
    pub(super) async fn observe(&mut self) -> Result<Observation, kube::Error> {
        let retained = self.store.list().await?;
        let kubernetes = self.kubernetes().await?;
        let elapsed = self.tick();
        let verdict = self.verdict().await;
        let assignment = self.assignment().await;
        let slot = self.needs_slot(&assignment) && self.take_slot();
        self.dependencies = Dependencies::new(&self.name, &self.needs(), &self.neighbours.borrow());
        let object = &self.ledger.add_on;
        let annotations = object.metadata.annotations.as_ref();
        let note = |name| annotations.and_then(|all| all.get(name));
        let policy = object.spec.policy.as_ref();
        let finalizers = object.metadata.finalizers.as_deref().unwrap_or_default();
        Ok(Observation {
            assignment,
            spec_version: object.spec.version.clone(),
            generation: object.metadata.generation.unwrap_or_default(),
            retry: note(annotation::RETRY).cloned(),
            is_paused: note(annotation::PAUSED).is_some_and(|paused| paused == "true"),
            ignores_windows: note(annotation::IGNORE_WINDOWS) == Some(&object.spec.version),
            deletion_intent: DeletionIntent::read(object),
            deletion: policy.and_then(|policy| policy.deletion).unwrap_or(Deletion::Uninstall),
            has_finalizer: finalizers.iter().any(|finalizer| finalizer == FINALIZER),
            has_slot: slot,
            dependencies: self.dependencies.clone(),
            kubernetes,
            retained,
            outcome: self.outcome.clone(),
            verdict,
            elapsed,
            jitter: fastrand::f64(),
        })
    }

    /// What the assignment needs of other add-ons.
    pub(super) fn needs(&self) -> Vec<Requirement> {
        let read = self.assignment.as_ref().and_then(|(_, read)| read.as_ref().ok());
        read.map_or(Vec::new(), |assignment| assignment.requires.clone())
    }

    /// At rest with what is asked, there is nothing to roll out.
    fn needs_slot(&self, assignment: &Result<Arc<Assignment>, Fault>) -> bool {
        let rollout = &self.ledger.rollout;
        let wanted = assignment.as_ref().ok().map(|assignment| &assignment.release);
        !rollout.phase().is_settled() || wanted != rollout.current.as_ref()
    }

    /// Time since the last look at which the API server answered. Both looks have to succeed for it to count.
    fn tick(&mut self) -> Duration {
        let now = Instant::now();
        self.clock.replace(now).map_or(Duration::ZERO, |last| now.duration_since(last))
    }

    /// Only asked for where a range may decide.
    async fn kubernetes(&self) -> Result<Option<semver::Version>, kube::Error> {
        if self.ledger.add_on.spec.kubernetes.is_none() {
            return Ok(None);
        }
        let info = self.shared.cluster.own().apiserver_version().await?;
        Ok(version_range::parse_kubernetes(&info.git_version))
    }

    /// Reading unpacks the bundle and compiles the health rules, which must not hold up other add-ons.
    async fn assignment(&mut self) -> Result<Arc<Assignment>, Fault> {
        let generation = self.ledger.add_on.metadata.generation.unwrap_or_default();
        if let Some((read, assignment)) = &self.assignment
            && *read == generation
        {
            return assignment.clone();
        }
        let (spec, home) = (self.ledger.add_on.spec.clone(), self.shared.namespace.clone());
        let read = tokio::task::spawn_blocking(move || Assignment::read(&spec, &home)).await;
        let read = read.unwrap_or_else(|_| {
            Err(Fault::new(Reason::InvalidAssignment, "the assignment could not be read at all"))
        });
        let assignment = read.map(Arc::new);
        self.assignment = Some((generation, assignment.clone()));
        assignment
    }

    async fn verdict(&mut self) -> Option<Verdict> {
        let watched = self.ledger.rollout.release_under_verification()?.clone();
        let looked = match self.content(&watched.id).await {
            Ok(Some(content)) => self.health(&content).await,
            Ok(None) => Err(Fault::new(Reason::RetainFailed, "the retained release is gone")),
            Err(fault) => Err(fault),
        };
        let verdict = looked.unwrap_or_else(|fault| Verdict::InProgress(fault.message));
        Some(self.hindered(verdict))
    }

    async fn health(&mut self, content: &Content) -> Result<Verdict, Fault> {
        let rules = self.rules(content).await?;
        let policy = self.assignment().await.map(|it| it.policy.clone()).unwrap_or_default();
        let running_jobs = self.running_jobs().await?;
        let back = matches!(self.ledger.rollout.state, State::RollingBack { .. });
        let placed = self.placed(content).await?;
        let terms = Terms {
            since: self.ledger.rollout.spent(),
            jobs: if back { Jobs::No } else { Jobs::All },
            graces: self.shared.graces,
            rules: &rules,
            judge: &self.shared.judge,
            running_jobs: &running_jobs,
            before: &self.ledger.rollout.preexisting_failures,
            // What is excused must not meet the time-out.
            excused_after: self.shared.graces.pod_failure.min(policy.timeout / 2),
            proves: self.ledger.rollout.verify_run(),
        };
        Ok(health::look(&self.access(content)?, &placed, &terms).await)
    }

    /// Those of the release that is looked at, compiled once.
    pub(super) async fn rules(&mut self, content: &Content) -> Result<Arc<Rules>, Fault> {
        let id = &content.release.id;
        if let Some((of, rules)) = &self.rules
            && of == id
        {
            return Ok(rules.clone());
        }
        let rules = Arc::new(self.shared.judge.compile(content.shape.health.clone()).await?);
        self.rules = Some((id.clone(), rules.clone()));
        Ok(rules)
    }
}
