//! Looks after the release at rest: puts back what others change of it, and watches whether it is well. What is found is
//! shown and told; it never begins a rollout.

use std::sync::Arc;
use std::time::Duration;

use lifecycle::at_rest::{Degradation, Drift, Repairs};
use lifecycle::health::{Rules, Verdict};
use lifecycle::{Fault, ManagedAddOnStatus, Reason, Release, Rollout};
use tokio::time::Instant;

use super::Driver;
use crate::actions::drift::{self, Known};
use crate::actions::health::{self, Jobs, Terms};
use crate::storage::ledger::now;

/// Drift is mended within a minute.
const REPAIR: Duration = Duration::from_secs(60);

/// How what runs is watched.
#[derive(Clone, Copy, Debug)]
pub struct Watching {
    /// Between looks at its health.
    pub every: Duration,
    /// What is not well is told after this long, and so is that it is well again.
    pub grace: Duration,
}

pub(super) struct Rest {
    release: Option<Release>,
    known: Known,
    /// What lived when all was last seen well: while nothing changes, it still is.
    well_with: Option<Known>,
    drift: Drift,
    wellness: Degradation,
    /// The last look at its health, if the API server has answered since.
    looked: Option<Instant>,
    pub(super) repair_at: Instant,
    watch_at: Instant,
}

impl Rest {
    /// Goes on from what an agent told that ran before this one.
    pub(super) fn resume(
        rollout: &Rollout,
        status: Option<&ManagedAddOnStatus>,
        every: Duration,
    ) -> Self {
        let rest = Self::of(rollout.release_at_rest().cloned(), every);
        let Some(status) = status else { return rest };
        Self {
            drift: Drift::from_status(status),
            wellness: Degradation::from_status(status),
            ..rest
        }
    }

    fn of(release: Option<Release>, every: Duration) -> Self {
        Self {
            release,
            known: Known::new(),
            well_with: None,
            drift: Drift::default(),
            wellness: Degradation::default(),
            looked: None,
            repair_at: Instant::now() + round(every),
            watch_at: Instant::now(),
        }
    }

    /// What was seen of another release, or before a rollout, says nothing of this one.
    pub(super) fn follow(&mut self, rollout: &Rollout, every: Duration) {
        if self.release.as_ref() != rollout.release_at_rest() {
            *self = Self::of(rollout.release_at_rest().cloned(), every);
        }
    }

    pub(super) fn unwell(&self) -> Option<String> {
        self.wellness.problem().map(str::to_owned)
    }

    pub(super) fn drift(&self) -> &Drift {
        &self.drift
    }

    /// What happens while the API server is away, nobody sees.
    pub(super) fn lose_sight(&mut self) {
        self.looked = None;
    }
}

/// Until the next round.
fn round(every: Duration) -> Duration {
    every.min(REPAIR).mul_f64(0.75 + fastrand::f64() / 4.0)
}

impl Driver {
    /// One round, when it is due.
    pub(super) async fn tend(&mut self) {
        let every = self.shared.watching.every;
        self.rest.repair_at = Instant::now() + round(every);
        // No watch tells at once that an etcd was restored, and what is not to be kept any more must not be put back.
        let newest = self.changes.borrow().clone();
        if !matches!(self.ledger.reload(&newest).await, Ok(false)) {
            return;
        }
        self.repair().await;
        if Instant::now() >= self.rest.watch_at {
            self.watch().await;
            // In the round that comes next to it.
            self.rest.watch_at = Instant::now() + every.saturating_sub(REPAIR);
        }
    }

    /// Puts back what others changed of the release at rest. What cannot be put back now is looked at again.
    async fn repair(&mut self) {
        let Some(kept) = self.rest.release.clone() else { return };
        let mut known = std::mem::take(&mut self.rest.known);
        match self.put_back(&kept, &mut known).await {
            Ok(repairs) => {
                let repaired = u64::try_from(repairs.restored.len()).unwrap_or(u64::MAX);
                self.shared.metrics.count_repairs(&self.name, repaired);
                // What was not looked at may have changed.
                self.rest.well_with = self.rest.well_with.take().filter(|_| repairs.is_complete());
                self.rest.drift = std::mem::take(&mut self.rest.drift).record(&repairs, now());
            }
            Err(fault) => {
                tracing::warn!(cause = fault.message, "drift could not be mended");
                self.rest.well_with = None;
            }
        }
        self.rest.known = known;
    }

    async fn put_back(&mut self, kept: &Release, known: &mut Known) -> Result<Repairs, Fault> {
        let Some(content) = self.content(&kept.id).await? else { return Err(gone()) };
        let placed = self.placed(&content).await?;
        let access = self.access(&content)?;
        Ok(drift::repair(&access, &placed, &self.ledger.rollout, known).await)
    }

    async fn watch(&mut self) {
        let Some(kept) = self.rest.release.clone() else { return };
        let verdict = match self.look(&kept).await {
            Ok(verdict) => verdict,
            Err(fault) => {
                tracing::warn!(cause = fault.message, "the health of what runs is not known");
                return self.rest.lose_sight();
            }
        };
        let watching = self.shared.watching;
        let last = self.rest.looked.replace(Instant::now());
        let elapsed = last.map_or(Duration::ZERO, |last| last.elapsed().min(watching.every));
        self.rest.well_with = (verdict == Verdict::Healthy).then(|| self.rest.known.clone());
        let before = self.rest.unwell();
        let wellness = std::mem::take(&mut self.rest.wellness);
        self.rest.wellness = wellness.record(&verdict, elapsed, watching.grace);
        self.tell_unwell(before).await;
    }

    /// Whole objects are only read when something changed since all was well.
    async fn look(&mut self, kept: &Release) -> Result<Verdict, Fault> {
        if self.rest.well_with.as_ref() == Some(&self.rest.known) {
            return Ok(Verdict::Healthy);
        }
        let Some(content) = self.content(&kept.id).await? else { return Err(gone()) };
        let rules = self.rules(&content).await?;
        let placed = self.placed(&content).await?;
        Ok(health::look(&self.access(&content)?, &placed, &self.at_rest(&rules)).await)
    }

    /// By what a release is judged that has had all its time.
    pub(super) fn at_rest<'a>(&'a self, rules: &'a Arc<Rules>) -> Terms<'a> {
        Terms {
            since: Duration::MAX,
            jobs: Jobs::IfThere,
            graces: self.shared.graces,
            rules,
            judge: &self.shared.judge,
            running_jobs: &[],
            // What was excused in the rollout is not well all the same.
            before: &[],
            excused_after: Duration::MAX,
            proves: None,
        }
    }

    async fn tell_unwell(&self, before: Option<String>) {
        let unwell = self.rest.unwell();
        if before.is_some() == unwell.is_some() {
            return;
        }
        tracing::info!(
            cause = unwell,
            degraded = unwell.is_some(),
            "the health of what runs changed"
        );
        self.shared.events.record_health(&self.ledger.add_on, unwell.as_deref()).await;
    }
}

fn gone() -> Fault {
    let gone = "the retained release is gone; assign it again to have it retained anew";
    Fault::new(Reason::RetainFailed, gone)
}
