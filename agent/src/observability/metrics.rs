//! What Prometheus scrapes. Labels come from closed sets; an add-on's name and its two versions are the only free ones.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hub_sync::LinkState;
use lifecycle::{OperationKind, OperationResult, Phase, Reason, Rollout, State, reason};
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use tokio::time::Instant;

/// Upper bounds of the buckets in seconds, from a tenth of a second to an hour: a rollout's phases are seconds, its
/// time-out is minutes.
const SECONDS: [f64; 12] =
    [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0];

pub struct Metrics {
    registry: Registry,
    phase: IntGaugeVec,
    version_info: IntGaugeVec,
    operations: IntCounterVec,
    operation_seconds: HistogramVec,
    phase_seconds: HistogramVec,
    rollbacks: IntCounterVec,
    rejections: IntCounterVec,
    check_warnings: IntCounterVec,
    drift_repaired: IntCounterVec,
    degraded: IntGaugeVec,
    hub_connected: IntGauge,
    hub_last_contact: Gauge,
    /// When each add-on's phase began, and the versions shown for it.
    known: Mutex<BTreeMap<String, Known>>,
}

struct Known {
    phase: Phase,
    since: Instant,
    versions: [Option<String>; 2],
}

impl Metrics {
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let histograms = |name: &str, help: &str, labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            let histogram = HistogramVec::new(options, labels)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let build = gauges(
            "addon_agent_build_info",
            "Always 1; the labels tell which agent this is.",
            &["version", "revision"],
        )?;
        let revision = option_env!("ADDON_AGENT_REVISION").unwrap_or("unknown");
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), revision]).set(1);
        let hub_connected = IntGauge::new("addon_agent_hub_connected", "1 while the hub answers.")?;
        registry.register(Box::new(hub_connected.clone()))?;
        let hub_last_contact = Gauge::new(
            "addon_agent_hub_last_contact_timestamp_seconds",
            "When the hub last answered, in seconds since 1970; 0 before the first time.",
        )?;
        registry.register(Box::new(hub_last_contact.clone()))?;
        Ok(Self {
            phase: gauges(
                "addon_agent_phase",
                "1 for the phase an add-on is in.",
                &["addon", "phase"],
            )?,
            version_info: gauges(
                "addon_agent_version_info",
                "Always 1; the version an add-on runs (current) or should run (desired).",
                &["addon", "version", "role"],
            )?,
            operations: counters(
                "addon_agent_operations_total",
                "Operations that ended.",
                &["addon", "operation", "result"],
            )?,
            operation_seconds: histograms(
                "addon_agent_operation_duration_seconds",
                "From an operation's start to its end.",
                &["operation", "result"],
            )?,
            phase_seconds: histograms(
                "addon_agent_phase_duration_seconds",
                "Time spent in a phase.",
                &["phase"],
            )?,
            rollbacks: counters(
                "addon_agent_rollbacks_total",
                "Rollbacks that the agent began by itself, by what caused them.",
                &["addon", "reason"],
            )?,
            rejections: counters(
                "addon_agent_rejections_total",
                "Assignments refused before the first write.",
                &["addon", "reason"],
            )?,
            check_warnings: counters(
                "addon_agent_check_warnings_total",
                "What checks warned of before a version was written.",
                &["addon"],
            )?,
            drift_repaired: counters(
                "addon_agent_drift_repaired_total",
                "Objects put back to what their version says.",
                &["addon"],
            )?,
            degraded: gauges(
                "addon_agent_degraded",
                "1 while the version that runs is told to be unhealthy.",
                &["addon"],
            )?,
            hub_connected,
            hub_last_contact,
            known: Mutex::default(),
            registry,
        })
    }

    pub fn text(&self) -> Result<String, prometheus::Error> {
        prometheus::TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    pub fn set_hub_link(&self, link: LinkState) {
        self.hub_connected.set(i64::from(link.connected));
        if let Some(contact) = link.last_contact {
            self.hub_last_contact.set(contact.as_second() as f64);
        }
    }

    /// A saved ledger took another's place.
    pub fn record_rollout(
        &self,
        add_on: &str,
        before: &Rollout,
        after: &Rollout,
        desired: Option<&str>,
    ) {
        self.show_phase(add_on, after.phase());
        let current = after.current.as_ref().map(|release| release.version.to_string());
        self.show_versions(add_on, [current, desired.map(str::to_owned)]);
        // What is added to an operation of the past is no new one.
        let known = |sequence| before.history.iter().any(|entry| entry.sequence == sequence);
        for entry in after.history.iter().filter(|entry| !known(entry.sequence)) {
            let labels = [entry.operation.name(), entry.result.name()];
            self.operations.with_label_values(&[add_on, labels[0], labels[1]]).inc();
            if let Some(completed) = &entry.completion_time {
                let seconds = completed.0.duration_since(entry.started_time.0).as_secs_f64();
                self.operation_seconds.with_label_values(&labels).observe(seconds);
            }
        }
        self.count_turns(add_on, before, after);
    }

    fn count_turns(&self, add_on: &str, before: &Rollout, after: &Rollout) {
        if before.phase() == after.phase() {
            return;
        }
        let by_itself =
            |rollout: &Rollout| matches!(rollout.state, State::RollingBack { asked: false, .. });
        let why: Reason = reason(after);
        if after.phase() == Phase::Applying {
            let warned = after.operation.as_ref().map_or(0, |operation| operation.warnings.len());
            self.check_warnings.with_label_values(&[add_on]).inc_by(warned as u64);
        } else if after.phase() == Phase::Rejected {
            self.rejections.with_label_values(&[add_on, why.name()]).inc();
        } else if by_itself(after) {
            self.rollbacks.with_label_values(&[add_on, why.name()]).inc();
        }
    }

    fn show_phase(&self, add_on: &str, phase: Phase) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let entry = known.entry(add_on.to_owned()).or_insert_with(|| {
            // Written for every phase once, so that a query for any of them has an answer.
            for other in Phase::ALL {
                self.phase.with_label_values(&[add_on, other.name()]).set(0);
            }
            Known { phase, since: now, versions: [None, None] }
        });
        if entry.phase != phase {
            let spent = now.duration_since(entry.since).as_secs_f64();
            self.phase_seconds.with_label_values(&[entry.phase.name()]).observe(spent);
            self.phase.with_label_values(&[add_on, entry.phase.name()]).set(0);
            (entry.phase, entry.since) = (phase, now);
        }
        self.phase.with_label_values(&[add_on, phase.name()]).set(1);
    }

    fn show_versions(&self, add_on: &str, versions: [Option<String>; 2]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = known.get_mut(add_on) else { return };
        for (role, (old, new)) in
            ["current", "desired"].iter().zip(entry.versions.iter_mut().zip(versions))
        {
            if *old == new {
                continue;
            }
            if let Some(old) = old.take() {
                _ = self.version_info.remove_label_values(&[add_on, &old, role]);
            }
            if let Some(new) = &new {
                self.version_info.with_label_values(&[add_on, new, role]).set(1);
            }
            *old = new;
        }
    }

    /// An add-on is gone; so are its series.
    pub fn remove_add_on(&self, add_on: &str) {
        for phase in Phase::ALL {
            _ = self.phase.remove_label_values(&[add_on, phase.name()]);
        }
        self.show_versions(add_on, [None, None]);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(add_on);
        for kind in [
            OperationKind::Install,
            OperationKind::Upgrade,
            OperationKind::Rollback,
            OperationKind::Uninstall,
        ] {
            for result in [OperationResult::Succeeded, OperationResult::Failed] {
                _ = self.operations.remove_label_values(&[add_on, kind.name(), result.name()]);
            }
        }
        for reason in Reason::ALL {
            _ = self.rollbacks.remove_label_values(&[add_on, reason.name()]);
            _ = self.rejections.remove_label_values(&[add_on, reason.name()]);
        }
        _ = self.check_warnings.remove_label_values(&[add_on]);
        _ = self.drift_repaired.remove_label_values(&[add_on]);
        _ = self.degraded.remove_label_values(&[add_on]);
    }

    pub fn set_degraded(&self, add_on: &str, unwell: bool) {
        self.degraded.with_label_values(&[add_on]).set(i64::from(unwell));
    }

    pub fn count_repairs(&self, add_on: &str, objects: u64) {
        self.drift_repaired.with_label_values(&[add_on]).inc_by(objects);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prometheus::core::{Collector, Desc};

    use super::*;

    const PAGE: &str = include_str!("../../../docs/metrics.md");

    #[test]
    fn the_documented_metrics_and_their_labels_are_the_registered_ones() {
        let metrics = Metrics::new().unwrap();
        assert_eq!(documented(), registered(&metrics));
    }

    /// Returns the name and the labels of each row of the page's table.
    fn documented() -> BTreeSet<(String, BTreeSet<String>)> {
        let rows = PAGE.lines().filter(|line| line.starts_with("| `addon_agent_"));
        let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let row = |row: &str| {
            let cells: Vec<Vec<String>> = row.split('|').map(words).collect();
            (cells[1].concat(), cells[3].iter().cloned().collect())
        };
        rows.map(row).collect()
    }

    /// Returns the name and the labels of each metric. The registry omits families without a sample, so the fields count too.
    fn registered(metrics: &Metrics) -> BTreeSet<(String, BTreeSet<String>)> {
        let Metrics {
            registry,
            phase,
            version_info,
            operations,
            operation_seconds,
            phase_seconds,
            rollbacks,
            rejections,
            check_warnings,
            drift_repaired,
            degraded,
            hub_connected,
            hub_last_contact,
            known: _,
        } = metrics;
        let fields: [&dyn Collector; 12] = [
            phase,
            version_info,
            operations,
            operation_seconds,
            phase_seconds,
            rollbacks,
            rejections,
            check_warnings,
            drift_repaired,
            degraded,
            hub_connected,
            hub_last_contact,
        ];
        let described =
            |desc: &Desc| (desc.fq_name.clone(), desc.variable_labels.iter().cloned().collect());
        let fields = fields.into_iter().flat_map(|field| field.desc().into_iter().map(described));
        let gathered = registry.gather().into_iter().map(|family| {
            let labels = family.get_metric()[0].get_label().iter();
            (family.name().to_owned(), labels.map(|label| label.name().to_owned()).collect())
        });
        fields.chain(gathered).collect()
    }
}
