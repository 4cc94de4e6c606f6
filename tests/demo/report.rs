//! The demo's output: phases as they happen, the report on the hub, and a timeline at the end.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Result, bail};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lifecycle::{HistoryEntry, ManagedAddOnStatus, OperationKind, OperationResult, Phase};
use serde_json::Value;
use testbed::wait::until;
use testbed::{AddOn, Progress};

/// Far longer than any part of the demo takes.
const DEADLINE: Duration = Duration::from_secs(180);

/// Prints each phase on the way to the version `desired`, until the add-on is in `phase` and runs the version `current`.
pub async fn follow(
    progress: &Progress,
    add_on: &AddOn,
    desired: &str,
    phase: Phase,
    current: &str,
) -> Result<()> {
    let last = Cell::new(None);
    until(&format!("{} with {current}", phase.name()), DEADLINE, || async {
        let status = add_on.status().await?;
        let is_assigned = status.desired_version.as_deref() == Some(desired);
        if is_assigned && status.phase != last.get() {
            last.set(status.phase);
            progress.line(&phase_line(&status));
        }
        let is_current = status.current_version.as_deref() == Some(current);
        if is_assigned && is_current && status.phase == Some(phase) {
            return Ok(Some(()));
        }
        bail!("{}", testbed::summarize(&status))
    })
    .await
}

/// Prints the report in the add-on's lease on the hub.
pub fn print_report(progress: &Progress, report: &Value) {
    progress.line("the lease on the hub has:");
    for name in [
        "phase",
        "operation",
        "result",
        "currentVersion",
        "desiredVersion",
        "startedTime",
        "completionTime",
        "reason",
        "message",
    ] {
        println!("            {name:<15} {}", report[name].as_str().unwrap_or("-"));
    }
}

/// Prints the history of the add-on, a line for each operation.
pub fn print_timeline(progress: &Progress, status: &ManagedAddOnStatus) {
    progress.heading("Timeline");
    let mut rows = vec![
        ["OPERATION", "FROM", "TO", "PHASE", "STARTED", "COMPLETED", "RESULT"].map(str::to_owned),
    ];
    let mut from = "-".to_owned();
    for entry in status.history.iter().rev() {
        let to = entry.version.clone().unwrap_or_else(|| "-".to_owned());
        rows.push(row(entry, from, to.clone()));
        // The next operation starts from here, also where this one failed.
        from = to;
    }
    print_table(&rows);
}

fn phase_line(status: &ManagedAddOnStatus) -> String {
    let phase = status.phase.map_or("", Phase::name);
    let message = status.message.as_deref().unwrap_or_default();
    format!("{phase:<12} {message}").trim_end().to_owned()
}

fn row(entry: &HistoryEntry, from: String, to: String) -> [String; 7] {
    let phase = match (entry.result == OperationResult::Succeeded, entry.operation) {
        (true, OperationKind::Rollback) => Phase::RolledBack,
        (true, _) => Phase::Available,
        (false, _) => Phase::Failed,
    };
    [
        entry.operation.name().to_owned(),
        from,
        to,
        phase.name().to_owned(),
        time_of_day(&entry.started_time),
        entry.completion_time.as_ref().map_or("-".to_owned(), time_of_day),
        entry.result.name().to_owned(),
    ]
}

fn time_of_day(time: &Time) -> String {
    time.0.strftime("%H:%M:%S").to_string()
}

fn print_table(rows: &[[String; 7]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    for row in rows {
        let cells = row.iter().enumerate().map(|(i, cell)| format!("{cell:<0$}", width(i)));
        println!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
