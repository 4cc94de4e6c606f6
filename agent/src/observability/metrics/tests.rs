//! The documented metrics are the registered ones.

use std::collections::BTreeSet;

use prometheus::core::Collector;
use prometheus::proto::MetricType;

use super::Metrics;
use super::families::Families;

const DOCUMENTATION: &str = include_str!("../../../../docs/metrics.md");

/// A row of the table: name, type, labels and meaning.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    name: String,
    type_: String,
    labels: Vec<String>,
    meaning: String,
}

#[test]
fn the_table_of_metrics_has_each_registered_metric_and_no_other() {
    let metrics = Metrics::new().expect("metrics");
    assert_eq!(documented_rows(), registered_rows(&metrics.families));
}

fn documented_rows() -> BTreeSet<Row> {
    let lines = DOCUMENTATION.lines().filter(|line| line.starts_with("| `addon_agent_"));
    lines.map(documented_row).collect()
}

fn documented_row(line: &str) -> Row {
    let plain = line.replace('`', "");
    let cells: Vec<&str> = plain.split('|').map(str::trim).collect();
    let labels = cells[3].split(", ").filter(|label| !label.is_empty());
    Row {
        name: cells[1].to_owned(),
        type_: cells[2].to_owned(),
        labels: labels.map(str::to_owned).collect(),
        meaning: cells[4].to_owned(),
    }
}

/// Takes the families apart without `..`, so that no metric can be omitted.
fn registered_rows(families: &Families) -> BTreeSet<Row> {
    let Families {
        phase,
        version_info,
        operations,
        operation_duration,
        phase_duration,
        rollbacks,
        rejections,
        degraded,
        check_warnings,
        drift_repaired,
        hub_connected,
        hub_last_contact,
        build_info,
    } = families;
    let collectors: [&dyn Collector; 13] = [
        phase,
        version_info,
        operations,
        operation_duration,
        phase_duration,
        rollbacks,
        rejections,
        degraded,
        check_warnings,
        drift_repaired,
        hub_connected,
        hub_last_contact,
        build_info,
    ];
    collectors.into_iter().map(registered_row).collect()
}

fn registered_row(collector: &dyn Collector) -> Row {
    let family = collector.collect().remove(0);
    Row {
        name: family.name().to_owned(),
        type_: type_name(family.get_field_type()).to_owned(),
        labels: collector.desc()[0].variable_labels.clone(),
        meaning: family.help().to_owned(),
    }
}

fn type_name(type_: MetricType) -> &'static str {
    match type_ {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        MetricType::SUMMARY | MetricType::UNTYPED => "undocumented type",
    }
}
