//! Judges the health of the release that a rollout verifies.

use std::sync::Arc;
use std::time::Duration;

use lifecycle::health::{Rules, Verdict};
use lifecycle::{Fault, Reason, Release, State};

use super::Driver;
use crate::actions::health::{HealthOptions, JobPolicy, check_health};
use crate::storage::packed_release::Content;

impl Driver {
    /// Returns the health of the release under verification.
    pub(super) async fn verdict(&mut self) -> Option<Verdict> {
        let release = self.ledger.rollout.release_under_verification()?.clone();
        let verdict = self.verify(&release).await;
        let verdict = verdict.unwrap_or_else(|fault| Verdict::InProgress(fault.message));
        Some(self.explain_stuck_pods(verdict))
    }

    async fn verify(&mut self, release: &Release) -> Result<Verdict, Fault> {
        let Some(content) = self.load(&release.id).await? else {
            return Err(Fault::new(Reason::RetainFailed, "the retained release is gone"));
        };
        let rules = self.rules(&content).await?;
        let policy = self.assignment().await.map(|it| it.policy.clone()).unwrap_or_default();
        let running_jobs = self.running_jobs().await?;
        let release = self.resolve(content).await?;
        let rollout = &self.ledger.rollout;
        let is_rollback = matches!(rollout.state, State::RollingBack { .. });
        let graces = self.shared.graces;
        let refused: Vec<_> =
            rollout.refused_objects().iter().map(|it| it.object.clone()).collect();
        let options = HealthOptions {
            since_apply: rollout.spent(),
            refused: if is_rollback { &refused } else { &[] },
            jobs: if is_rollback { JobPolicy::Ignored } else { JobPolicy::All },
            graces,
            rules: &rules,
            cel_worker: &self.shared.cel_worker,
            running_jobs: &running_jobs,
            preexisting: &rollout.preexisting_failures,
            // Tolerance has to come before the time-out.
            tolerated_after: graces.pod_failure.min(policy.timeout / 2),
            verify_run: rollout.verify_run(),
        };
        Ok(check_health(&release, &options).await)
    }

    /// Returns how a release is judged that had all its time.
    pub(super) fn options_at_rest<'a>(&'a self, rules: &'a Arc<Rules>) -> HealthOptions<'a> {
        HealthOptions {
            since_apply: Duration::MAX,
            refused: &[],
            jobs: JobPolicy::IfPresent,
            graces: self.shared.graces,
            rules,
            cel_worker: &self.shared.cel_worker,
            running_jobs: &[],
            // What the rollout tolerated is unhealthy all the same.
            preexisting: &[],
            tolerated_after: Duration::MAX,
            verify_run: None,
        }
    }

    /// Returns the health rules of a release, compiled once as long as no other release is judged.
    pub(super) async fn rules(&mut self, content: &Content) -> Result<Arc<Rules>, Fault> {
        let id = &content.release.id;
        if let Some((known, rules)) = &self.rules
            && known == id
        {
            return Ok(rules.clone());
        }
        let rules = self.shared.cel_worker.compile(content.shape.health.clone()).await?;
        let rules = Arc::new(rules);
        self.rules = Some((id.clone(), rules.clone()));
        Ok(rules)
    }
}
