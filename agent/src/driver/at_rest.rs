//! Looks after the release at rest: repairs drift and watches its health. Reports what it finds, and never starts a rollout.

use lifecycle::health::Verdict;
use lifecycle::{Fault, Reason, Release};

use super::Driver;
use crate::actions::drift;
use crate::actions::health::check_health;
use crate::actions::release::ResolvedRelease;
use crate::storage::ledger::now;

impl Driver {
    /// Repairs drift, and looks at the health if that is due.
    pub(super) async fn look_after_release(&mut self) {
        let settings = self.shared.watch_settings;
        self.at_rest.schedule_repair(settings);
        // The watch does not report that etcd was restored, and a release that is no longer wanted must not be repaired.
        let newest = self.changes.borrow().clone();
        if !matches!(self.ledger.reload(&newest).await, Ok(false)) {
            return;
        }
        let Some(release) = self.at_rest.release().cloned() else { return };
        self.repair_drift(&release).await;
        if self.at_rest.is_health_due() {
            self.watch_health(&release).await;
            self.at_rest.schedule_health_check(settings);
        }
    }

    async fn repair_drift(&mut self, release: &Release) {
        let release = match self.open_at_rest(release).await {
            Ok(release) => release,
            Err(fault) => {
                tracing::warn!(cause = fault.message, "could not repair drift");
                return self.at_rest.distrust_health();
            }
        };
        let known = &mut self.at_rest.known_versions;
        let repairs = drift::repair(&release, &self.ledger.rollout, known).await;
        let restored = u64::try_from(repairs.restored.len()).unwrap_or(u64::MAX);
        self.shared.metrics.count_repairs(&self.name, restored);
        self.at_rest.record_repair(&repairs, now());
    }

    async fn watch_health(&mut self, release: &Release) {
        let verdict = match self.health_at_rest(release).await {
            Ok(verdict) => verdict,
            Err(fault) => {
                tracing::warn!(cause = fault.message, "could not check the health at rest");
                return self.at_rest.forget_last_look();
            }
        };
        let before = self.at_rest.degradation();
        self.at_rest.record_health(&verdict, self.shared.watch_settings);
        self.report_degradation(before.is_some()).await;
    }

    /// Whole objects are read only if one changed since the release was last healthy.
    async fn health_at_rest(&mut self, release: &Release) -> Result<Verdict, Fault> {
        if self.at_rest.is_known_healthy() {
            return Ok(Verdict::Healthy);
        }
        let release = self.open_at_rest(release).await?;
        let rules = self.rules(&release.content).await?;
        Ok(check_health(&release, &self.options_at_rest(&rules)).await)
    }

    async fn open_at_rest(&mut self, release: &Release) -> Result<ResolvedRelease, Fault> {
        let gone = || {
            let message = "the retained release is gone; assign it again to retain it again";
            Fault::new(Reason::RetainFailed, message)
        };
        self.open_release(&release.id).await?.ok_or_else(gone)
    }

    async fn report_degradation(&self, was_degraded: bool) {
        let degradation = self.at_rest.degradation();
        if was_degraded == degradation.is_some() {
            return;
        }
        tracing::info!(
            cause = degradation,
            degraded = degradation.is_some(),
            "the health at rest changed"
        );
        self.shared.events.record_health(&self.ledger.add_on, degradation.as_deref()).await;
    }
}
