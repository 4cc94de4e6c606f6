//! Prometheus metrics. Label values come from closed lists, except an add-on's name, its versions and the agent's own.

mod families;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hub_sync::LinkState;
use lifecycle::{
    HistoryEntry, OperationKind, OperationResult, Phase, Reason, Rollback, Rollout, State, reason,
};
use prometheus::{Registry, TextEncoder};
use tokio::time::Instant;

use families::Families;

/// All metrics of the agent.
pub struct Metrics {
    registry: Registry,
    families: Families,
    add_ons: Mutex<BTreeMap<String, Published>>,
}

/// The published state of one add-on.
struct Published {
    phase: Phase,
    phase_start: Instant,
    versions: Versions,
}

#[derive(Default)]
struct Versions {
    current: Option<String>,
    desired: Option<String>,
}

impl Metrics {
    /// Registers all metrics. Series of add-ons appear with the first [`Metrics::record_rollout`].
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let families = Families::register(&registry)?;
        let revision = option_env!("ADDON_AGENT_REVISION").unwrap_or("unknown");
        let build = [env!("CARGO_PKG_VERSION"), revision];
        families.build_info.with_label_values(&build).set(1);
        Ok(Self { registry, families, add_ons: Mutex::default() })
    }

    /// Returns all metrics in Prometheus' text format.
    pub fn encode(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Sets the metrics of the connection to the hub.
    pub fn set_link_state(&self, link_state: LinkState) {
        self.families.hub_connected.set(i64::from(link_state.connected));
        if let Some(contact) = link_state.last_contact {
            self.families.hub_last_contact.set(contact.as_second() as f64);
        }
    }

    /// Records the transition between two saved ledgers, and the desired version.
    pub fn record_rollout(
        &self,
        add_on: &str,
        before: &Rollout,
        after: &Rollout,
        desired: Option<&str>,
    ) {
        self.set_phase(add_on, after.phase());
        let current = after.current.as_ref().map(|release| release.version.to_string());
        let desired = desired.map(str::to_owned);
        self.set_versions(add_on, Versions { current, desired });
        // An entry that was only extended is not counted again.
        let is_known = |sequence| before.history.iter().any(|entry| entry.sequence == sequence);
        for entry in after.history.iter().filter(|entry| !is_known(entry.sequence)) {
            self.count_operation(add_on, entry);
        }
        if before.phase() != after.phase() {
            self.count_transition(add_on, after);
        }
    }

    fn count_operation(&self, add_on: &str, entry: &HistoryEntry) {
        let (operation, result) = (entry.operation.name(), entry.result.name());
        self.families.operations.with_label_values(&[add_on, operation, result]).inc();
        if let Some(completed) = &entry.completion_time {
            let seconds = completed.0.duration_since(entry.started_time.0).as_secs_f64();
            let duration = &self.families.operation_duration;
            duration.with_label_values(&[operation, result]).observe(seconds);
        }
    }

    /// Counts what a new phase means.
    fn count_transition(&self, add_on: &str, after: &Rollout) {
        let labels = [add_on, reason(after).name()];
        let is_automatic_rollback = after.phase() == Phase::RollingBack
            && matches!(after.state, State::RollingBack(Rollback { requested: false, .. }));
        if after.phase() == Phase::Applying {
            let warnings = after.operation.as_ref().map_or(0, |operation| operation.warnings.len());
            let counter = self.families.check_warnings.with_label_values(&[add_on]);
            counter.inc_by(warnings as u64);
        } else if after.phase() == Phase::Rejected {
            self.families.rejections.with_label_values(&labels).inc();
        } else if is_automatic_rollback {
            self.families.rollbacks.with_label_values(&labels).inc();
        }
    }

    fn set_phase(&self, add_on: &str, phase: Phase) {
        let Families { phase: gauge, phase_duration, .. } = &self.families;
        let mut add_ons = self.lock_add_ons();
        let now = Instant::now();
        let published = add_ons.entry(add_on.to_owned()).or_insert_with(|| {
            // Each phase has a series from the start, so that a query for any of them has an answer.
            for other in Phase::ALL {
                gauge.with_label_values(&[add_on, other.name()]).set(0);
            }
            Published { phase, phase_start: now, versions: Versions::default() }
        });
        if published.phase != phase {
            let seconds = now.duration_since(published.phase_start).as_secs_f64();
            phase_duration.with_label_values(&[published.phase.name()]).observe(seconds);
            gauge.with_label_values(&[add_on, published.phase.name()]).set(0);
            (published.phase, published.phase_start) = (phase, now);
        }
        gauge.with_label_values(&[add_on, phase.name()]).set(1);
    }

    fn set_versions(&self, add_on: &str, versions: Versions) {
        let mut add_ons = self.lock_add_ons();
        let Some(published) = add_ons.get_mut(add_on) else { return };
        let Versions { current, desired } = &mut published.versions;
        self.replace_version([add_on, "current"], current, versions.current);
        self.replace_version([add_on, "desired"], desired, versions.desired);
    }

    fn replace_version(
        &self,
        [add_on, role]: [&str; 2],
        published: &mut Option<String>,
        version: Option<String>,
    ) {
        if *published == version {
            return;
        }
        let gauge = &self.families.version_info;
        if let Some(old) = published.take() {
            _ = gauge.remove_label_values(&[add_on, &old, role]);
        }
        if let Some(new) = &version {
            gauge.with_label_values(&[add_on, new, role]).set(1);
        }
        *published = version;
    }

    /// Removes all series of an add-on whose `ManagedAddOn` is gone.
    pub fn remove_add_on(&self, add_on: &str) {
        let Families { phase, operations, rollbacks, rejections, .. } = &self.families;
        for other in Phase::ALL {
            _ = phase.remove_label_values(&[add_on, other.name()]);
        }
        self.set_versions(add_on, Versions::default());
        self.lock_add_ons().remove(add_on);
        for kind in OperationKind::ALL {
            for result in OperationResult::ALL {
                _ = operations.remove_label_values(&[add_on, kind.name(), result.name()]);
            }
        }
        for reason in Reason::ALL {
            _ = rollbacks.remove_label_values(&[add_on, reason.name()]);
            _ = rejections.remove_label_values(&[add_on, reason.name()]);
        }
        let Families { check_warnings, drift_repaired, degraded, .. } = &self.families;
        _ = check_warnings.remove_label_values(&[add_on]);
        _ = drift_repaired.remove_label_values(&[add_on]);
        _ = degraded.remove_label_values(&[add_on]);
    }

    /// Sets whether the running version of an add-on is reported as unhealthy.
    pub fn set_degraded(&self, add_on: &str, is_degraded: bool) {
        self.families.degraded.with_label_values(&[add_on]).set(i64::from(is_degraded));
    }

    /// Counts objects that were restored after drift.
    pub fn count_repairs(&self, add_on: &str, objects: u64) {
        self.families.drift_repaired.with_label_values(&[add_on]).inc_by(objects);
    }

    fn lock_add_ons(&self) -> MutexGuard<'_, BTreeMap<String, Published>> {
        self.add_ons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
