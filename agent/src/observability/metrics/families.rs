//! The metrics and their labels, registered. `docs/metrics.md` has the same table.

use prometheus::core::Collector;
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Upper bounds of the histograms' buckets in seconds. Phases last seconds, a rollout's time-out is minutes.
const BUCKETS: [f64; 12] =
    [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0];

/// One field for each metric.
pub struct Families {
    pub phase: IntGaugeVec,
    pub version_info: IntGaugeVec,
    pub operations: IntCounterVec,
    pub operation_duration: HistogramVec,
    pub phase_duration: HistogramVec,
    pub rollbacks: IntCounterVec,
    pub rejections: IntCounterVec,
    pub degraded: IntGaugeVec,
    pub check_warnings: IntCounterVec,
    pub drift_repaired: IntCounterVec,
    pub hub_connected: IntGauge,
    pub hub_last_contact: Gauge,
    pub build_info: IntGaugeVec,
}

impl Families {
    /// Registers all metrics.
    ///
    /// # Errors
    /// If a name or label is invalid or occurs twice.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let registrar = Registrar { registry };
        Ok(Self {
            phase: registrar.gauges(
                "addon_agent_phase",
                "1 for the phase an add-on is in, 0 for the others.",
                &["addon", "phase"],
            )?,
            version_info: registrar.gauges(
                "addon_agent_version_info",
                "Always 1. The version that an add-on runs (current) or should run (desired).",
                &["addon", "version", "role"],
            )?,
            operations: registrar.counters(
                "addon_agent_operations_total",
                "Completed operations.",
                &["addon", "operation", "result"],
            )?,
            operation_duration: registrar.histograms(
                "addon_agent_operation_duration_seconds",
                "Time from the start of an operation to its end.",
                &["operation", "result"],
            )?,
            phase_duration: registrar.histograms(
                "addon_agent_phase_duration_seconds",
                "Time spent in a phase, observed when the phase ends.",
                &["phase"],
            )?,
            rollbacks: registrar.counters(
                "addon_agent_rollbacks_total",
                "Automatic rollbacks, by cause.",
                &["addon", "reason"],
            )?,
            rejections: registrar.counters(
                "addon_agent_rejections_total",
                "Assignments rejected before the first write.",
                &["addon", "reason"],
            )?,
            degraded: registrar.gauges(
                "addon_agent_degraded",
                "1 while the running version is reported as unhealthy (RunningUnhealthy).",
                &["addon"],
            )?,
            check_warnings: registrar.counters(
                "addon_agent_check_warnings_total",
                "Warnings of the check before a version was applied.",
                &["addon"],
            )?,
            drift_repaired: registrar.counters(
                "addon_agent_drift_repaired_total",
                "Objects restored after drift.",
                &["addon"],
            )?,
            hub_connected: registrar
                .add(IntGauge::new("addon_agent_hub_connected", "1 while the hub answers.")?)?,
            hub_last_contact: registrar.add(Gauge::new(
                "addon_agent_hub_last_contact_timestamp_seconds",
                "Time of the hub's last answer, in seconds since 1970; 0 before the first.",
            )?)?,
            build_info: registrar.gauges(
                "addon_agent_build_info",
                "Always 1. Version and revision of the agent.",
                &["version", "revision"],
            )?,
        })
    }
}

struct Registrar<'a> {
    registry: &'a Registry,
}

impl Registrar<'_> {
    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<HistogramVec> {
        let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        self.add(HistogramVec::new(options, labels)?)
    }

    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> prometheus::Result<C> {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }
}
