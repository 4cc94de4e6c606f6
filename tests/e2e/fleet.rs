//! OCM's rollout over the fleet waits for real health: its own placements and strategy, the agent's status.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lifecycle::{ManagedAddOnStatus, Phase};
use serde_json::{Value, json};
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};
use testbed::ocm::Fleet;
use testbed::wait::until;

use crate::bed::{Bed, Cluster, ONE, TWO};
use testbed::Progress;

/// The add-on of the fleet.
pub const ADD_ON: &str = "metrics";

/// Longest time for a step of OCM. It evaluates a rollout when something changes, and at times that it computed before.
pub const TIMEOUT: Duration = Duration::from_secs(240);

/// A version reaches the next cluster after it is available on the one before, and never after it failed there.
pub async fn gate_rollout_on_health(progress: &Progress, bed: &Bed) -> Result<()> {
    let fleet = Fleet::new(&bed.hub, ADD_ON);
    for (version, image) in [("1.0.0", READY), ("1.1.0", READY), ("1.2.0", NEVER_READY)] {
        fleet.template(&spec(version, image)).await?;
    }

    progress.heading("1.0.0 is placed on the whole fleet");
    fleet.roll_out("1.0.0", &strategy()).await?;
    for cluster in [&bed.one, &bed.two] {
        until_available(cluster, "1.0.0").await?;
        progress.line(&format!("cluster {} runs 1.0.0", cluster.name));
        fleet.until_completed(cluster.name, "1.0.0", TIMEOUT).await?;
        progress.line(&format!("OCM has completed cluster {}", cluster.name));
    }

    progress.heading("1.1.0 goes to cluster one, then to cluster two");
    fleet.roll_out("1.1.0", &strategy()).await?;
    let one = until_available(&bed.one, "1.1.0").await?;
    progress.line("cluster one runs 1.1.0");
    let two = until_available(&bed.two, "1.1.0").await?;
    progress.line("cluster two runs 1.1.0");
    let (completed, started) = (one.completion_time, two.started_time);
    ensure!(
        completed <= started,
        "cluster two started at {started:?}, before cluster one had completed at {completed:?}"
    );
    for cluster in [ONE, TWO] {
        fleet.until_completed(cluster, "1.1.0", TIMEOUT).await?;
    }
    progress.line("OCM has completed both");

    progress.heading(
        "1.2.0 never becomes ready: cluster one rolls back by itself, and cluster two never gets it",
    );
    fleet.roll_out("1.2.0", &strategy()).await?;
    let one = bed.one.add_on(ADD_ON);
    let status = one.until_phase(Phase::RolledBack).await?;
    ensure!(
        status.current_version.as_deref() == Some("1.1.0"),
        "status after the rollback: {status:?}"
    );
    progress.line("cluster one was rolled back to 1.1.0");
    fleet.until_progress("1 timeout", TIMEOUT).await?;
    progress.line("OCM's rollout counts cluster one as timed out");
    ensure_not_assigned(bed, "1.2.0").await?;
    progress.line("1.2.0 was not assigned to cluster two");

    progress.heading("The placement gets its old template back: cluster one is available again");
    fleet.roll_out("1.1.0", &strategy()).await?;
    until_available(&bed.one, "1.1.0").await?;
    for cluster in [ONE, TWO] {
        fleet.until_completed(cluster, "1.1.0", TIMEOUT).await?;
    }
    progress.line("both clusters have completed 1.1.0");
    ensure_not_assigned(bed, "1.2.0").await
}

/// Returns a strategy of one cluster after the other, in alphabetical order. The samples have longer times.
pub fn strategy() -> Value {
    json!({
        "type": "Progressive",
        "progressive": {
            "maxConcurrency": 1, "minSuccessTime": "10s", "progressDeadline": "60s", "maxFailures": 0,
        },
    })
}

/// Returns a version of the fleet's add-on.
pub fn spec(version: &str, image: &str) -> Spec {
    let bundle =
        Bundle::new().namespace(ADD_ON).config("settings", version).deployment("collector", image);
    // A container that exits at once is ready for a moment each time. No such moment is as long as this soak.
    Spec::inline(version, &bundle).namespace(ADD_ON).policy("timeout", "30s").policy("soak", "5s")
}

/// Waits until the assigned version is available on a cluster.
pub async fn until_available(cluster: &Cluster, version: &str) -> Result<ManagedAddOnStatus> {
    let add_on = cluster.add_on(ADD_ON);
    until(&format!("cluster {} to run {ADD_ON} {version}", cluster.name), TIMEOUT, || async {
        let status = add_on.status().await?;
        let is_current = status.current_version.as_deref() == Some(version);
        let is_desired = status.desired_version.as_deref() == Some(version);
        if is_current && is_desired && status.phase == Some(Phase::Available) {
            return Ok(Some(status));
        }
        anyhow::bail!("{}", testbed::summarize(&status))
    })
    .await
}

/// Fails if the version was ever assigned to cluster two.
async fn ensure_not_assigned(bed: &Bed, version: &str) -> Result<()> {
    let reference = bed.hub.template_reference(TWO, ADD_ON).await?;
    ensure!(reference.desired.as_deref() == Some(&format!("{ADD_ON}-1.1.0")), "{reference:?}");
    let add_on = bed.two.add_on(ADD_ON).get().await?.context("no ManagedAddOn on two")?;
    let text = serde_json::to_string(&add_on)?;
    ensure!(!text.contains(version), "{version} reached cluster two: {text}");
    Ok(())
}
