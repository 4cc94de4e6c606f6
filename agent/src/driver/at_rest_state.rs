//! What is known of the release at rest: its drift, its degradation, and when to look again.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::at_rest::{Degradation, Drift, Repairs};
use lifecycle::health::Verdict;
use lifecycle::{ManagedAddOnStatus, ObjectKey, Release, Rollout};
use tokio::time::Instant;

use super::sightings::Sightings;
use crate::actions::drift::KnownVersions;

/// Longest time between two looks for drift.
const REPAIR_INTERVAL: Duration = Duration::from_secs(60);

/// How the release at rest is watched.
#[derive(Clone, Copy, Debug)]
pub struct WatchSettings {
    /// Time between two looks at its health.
    pub interval: Duration,
    /// Time after which it is reported as degraded, and as healthy again.
    pub degraded_after: Duration,
}

/// What is known of the release at rest.
pub struct AtRestState {
    release: Option<Release>,
    pub known_versions: KnownVersions,
    /// Objects that a rollback could not write, and that were written since.
    pub recovered: BTreeSet<ObjectKey>,
    /// The versions with which the release was last healthy. While none changes, it still is.
    healthy_versions: Option<KnownVersions>,
    drift: Drift,
    degradation: Degradation,
    /// The last look at its health, if the API server has answered since.
    last_look: Option<Instant>,
    next_repair: Instant,
    next_health_check: Instant,
}

impl AtRestState {
    /// Continues from what the last agent reported, and from what a former driver of this process knew.
    pub fn resume(
        rollout: &Rollout,
        status: Option<&ManagedAddOnStatus>,
        former: Option<Sightings>,
        settings: WatchSettings,
    ) -> Self {
        let mut state = Self::new(rollout.release_at_rest().cloned(), settings);
        if let Some(former) =
            former.filter(|former| state.release.as_ref() == Some(&former.release))
        {
            state.known_versions = former.known_versions;
            state.healthy_versions = former.healthy_versions;
        }
        let Some(status) = status else { return state };
        Self {
            drift: Drift::from_status(status),
            degradation: Degradation::from_status(status),
            ..state
        }
    }

    fn new(release: Option<Release>, settings: WatchSettings) -> Self {
        Self {
            release,
            known_versions: KnownVersions::new(),
            recovered: BTreeSet::new(),
            healthy_versions: None,
            drift: Drift::default(),
            degradation: Degradation::default(),
            last_look: None,
            next_repair: Instant::now() + jittered(settings),
            next_health_check: Instant::now(),
        }
    }

    /// Takes what was seen of the release, for the next driver of the same add-on.
    pub fn take_sightings(&mut self) -> Option<Sightings> {
        Some(Sightings {
            release: self.release.take()?,
            known_versions: std::mem::take(&mut self.known_versions),
            healthy_versions: self.healthy_versions.take(),
        })
    }

    /// Starts from nothing if another release is at rest, or none.
    pub fn follow(&mut self, rollout: &Rollout, settings: WatchSettings) {
        if self.release.as_ref() != rollout.release_at_rest() {
            *self = Self::new(rollout.release_at_rest().cloned(), settings);
        }
    }

    pub fn release(&self) -> Option<&Release> {
        self.release.as_ref()
    }

    pub fn drift(&self) -> &Drift {
        &self.drift
    }

    /// Returns why the release is degraded.
    pub fn degradation(&self) -> Option<String> {
        self.degradation.problem().map(str::to_owned)
    }

    /// Does not count the time until the next look, because nobody watched.
    pub fn forget_last_look(&mut self) {
        self.last_look = None;
    }

    pub fn next_look(&self) -> Instant {
        self.next_repair
    }

    pub fn schedule_repair(&mut self, settings: WatchSettings) {
        self.next_repair = Instant::now() + jittered(settings);
    }

    pub fn is_health_due(&self) -> bool {
        Instant::now() >= self.next_health_check
    }

    /// Schedules the next look at the health for the repair that comes nearest to the interval.
    pub fn schedule_health_check(&mut self, settings: WatchSettings) {
        let after = settings.interval.saturating_sub(REPAIR_INTERVAL);
        self.next_health_check = Instant::now() + after;
    }

    /// Records what a repair found.
    pub fn record_repair(&mut self, repairs: &Repairs, now: Timestamp) {
        if !repairs.is_complete() {
            self.distrust_health();
        }
        let known = std::mem::take(&mut self.recovered);
        self.recovered = known.into_iter().chain(repairs.recovered.iter().cloned()).collect();
        self.drift = std::mem::take(&mut self.drift).record(repairs, now);
    }

    /// Objects that could not be looked at may have changed.
    pub fn distrust_health(&mut self) {
        self.healthy_versions = None;
    }

    /// Returns whether nothing changed since the release was last healthy.
    pub fn is_known_healthy(&self) -> bool {
        self.healthy_versions.as_ref() == Some(&self.known_versions)
    }

    /// Records the health. At most one interval counts as the time since the last look.
    pub fn record_health(&mut self, verdict: &Verdict, settings: WatchSettings) {
        let last = self.last_look.replace(Instant::now());
        let elapsed = last.map_or(Duration::ZERO, |last| last.elapsed().min(settings.interval));
        let is_healthy = *verdict == Verdict::Healthy;
        self.healthy_versions = is_healthy.then(|| self.known_versions.clone());
        let degradation = std::mem::take(&mut self.degradation);
        self.degradation = degradation.record(verdict, elapsed, settings.degraded_after);
    }
}

fn jittered(settings: WatchSettings) -> Duration {
    settings.interval.min(REPAIR_INTERVAL).mul_f64(0.75 + fastrand::f64() / 4.0)
}
