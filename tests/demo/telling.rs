//! How the add-on's story is told: phases as they happen, and a timeline at the end.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Result, bail};
use lifecycle::{HistoryEntry, ManagedAddOnStatus, OperationKind, Phase};
use serde_json::Value;
use testbed::wait::until;
use testbed::{AddOn, Telling};

/// Far longer than any chapter takes.
const PATIENCE: Duration = Duration::from_secs(180);

/// Tells each phase on the way to `asked` as it comes, until this one, in which `runs` runs.
pub async fn follow(
    telling: &Telling,
    add_on: &AddOn,
    asked: &str,
    phase: Phase,
    runs: &str,
) -> Result<()> {
    let last = Cell::new(None);
    until(&format!("{} with {runs}", phase.name()), PATIENCE, || async {
        let status = add_on.status().await?;
        let answers = status.desired_version.as_deref() == Some(asked);
        if answers && status.phase != last.get() {
            last.set(status.phase);
            telling.line(&brief(&status));
        }
        let there = status.current_version.as_deref() == Some(runs);
        if answers && there && status.phase == Some(phase) {
            return Ok(Some(()));
        }
        bail!("{}", testbed::brief(&status))
    })
    .await
}

pub fn reported(telling: &Telling, status: &Value) {
    let text = |name: &str| status[name].as_str().unwrap_or("-").to_owned();
    telling.line("the lease on the hub says:");
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
        println!("            {name:<15} {}", text(name));
    }
}

pub fn timeline(telling: &Telling, status: &ManagedAddOnStatus) {
    telling.chapter("Timeline");
    let mut rows = vec![
        ["OPERATION", "FROM", "TO", "PHASE", "STARTED", "COMPLETED", "RESULT"].map(str::to_owned),
    ];
    let mut runs = "-".to_owned();
    for entry in status.history.iter().rev() {
        let (row, now) = row(entry, &runs);
        rows.push(row);
        runs = now;
    }
    table(&rows);
}

fn brief(status: &ManagedAddOnStatus) -> String {
    let phase = status.phase.map_or("", Phase::name);
    let message = status.message.as_deref().unwrap_or_default();
    format!("{phase:<12} {message}").trim_end().to_owned()
}

/// A row of the timeline, and the version that runs after it.
fn row(entry: &HistoryEntry, from: &str) -> ([String; 7], String) {
    let to = entry.version.clone().unwrap_or_else(|| "-".to_owned());
    let succeeded = entry.result == lifecycle::OperationResult::Succeeded;
    let phase = match (succeeded, entry.operation) {
        (true, OperationKind::Rollback) => Phase::RolledBack,
        (true, _) => Phase::Available,
        (false, _) => Phase::Failed,
    };
    let time = |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
        time.as_ref().map_or("-".to_owned(), |time| time.0.strftime("%H:%M:%S").to_string())
    };
    let row = [
        entry.operation.name().to_owned(),
        from.to_owned(),
        to.clone(),
        phase.name().to_owned(),
        time(&Some(entry.started_time.clone())),
        time(&entry.completion_time),
        entry.result.name().to_owned(),
    ];
    // What failed is in the way until the rollback after it has ended.
    (row, to)
}

fn table(rows: &[[String; 7]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    for row in rows {
        let cells = row.iter().enumerate().map(|(i, cell)| format!("{cell:<0$}", width(i)));
        println!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
