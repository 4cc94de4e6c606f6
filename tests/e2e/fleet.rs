//! A fleet's rollout is gated on real health: OCM's own placements and strategy, the agent's status.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lifecycle::{ManagedAddOnStatus, Phase};
use serde_json::{Value, json};
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};
use testbed::ocm::Fleet;
use testbed::wait::until;

use crate::bed::{Bed, ONE, Site, TWO};
use testbed::Progress;

pub const ADD_ON: &str = "metrics";

/// OCM looks anew at a rollout when something changes, and at the times it has reckoned.
pub const PATIENCE: Duration = Duration::from_secs(240);

pub async fn gates_on_health(progress: &Progress, bed: &Bed) -> Result<()> {
    let fleet = Fleet::new(&bed.hub, ADD_ON);
    for (version, image) in [("1.0.0", READY), ("1.1.0", READY), ("1.2.0", NEVER_READY)] {
        fleet.template(&spec(version, image)).await?;
    }

    progress.heading("1.0.0 is placed on the whole fleet");
    fleet.roll_out("1.0.0", &strategy()).await?;
    for site in [&bed.one, &bed.two] {
        until_available(site, "1.0.0").await?;
        progress.line(&format!("cluster {} runs 1.0.0", site.name));
        fleet.until_completed(site.name, "1.0.0", PATIENCE).await?;
        progress.line(&format!("OCM counts cluster {} as done", site.name));
    }

    progress.heading("1.1.0 goes to cluster one, then to cluster two");
    fleet.roll_out("1.1.0", &strategy()).await?;
    let one = until_available(&bed.one, "1.1.0").await?;
    progress.line("cluster one runs 1.1.0");
    let two = until_available(&bed.two, "1.1.0").await?;
    progress.line("cluster two runs 1.1.0");
    let (done, begun) = (one.completion_time, two.started_time);
    ensure!(
        done <= begun,
        "cluster two began at {begun:?}, before cluster one was done at {done:?}"
    );
    for site in [ONE, TWO] {
        fleet.until_completed(site, "1.1.0", PATIENCE).await?;
    }
    progress.line("OCM counts both as done");

    progress.heading(
        "1.2.0 never becomes ready: cluster one goes back by itself, and cluster two never gets it",
    );
    fleet.roll_out("1.2.0", &strategy()).await?;
    let one = bed.one.add_on(ADD_ON);
    let status = one.until_phase(Phase::RolledBack).await?;
    ensure!(status.current_version.as_deref() == Some("1.1.0"), "back at {status:?}");
    progress.line("cluster one was rolled back to 1.1.0");
    fleet.until_progress("1 timeout", PATIENCE).await?;
    progress.line("OCM has timed cluster one out");
    never_got(bed, "1.2.0").await?;
    progress.line("cluster two was not asked to take 1.2.0");

    progress.heading("The placement's template is put back: cluster one is well again");
    fleet.roll_out("1.1.0", &strategy()).await?;
    until_available(&bed.one, "1.1.0").await?;
    for site in [ONE, TWO] {
        fleet.until_completed(site, "1.1.0", PATIENCE).await?;
    }
    progress.line("both clusters are done with 1.1.0");
    never_got(bed, "1.2.0").await
}

/// One cluster after the other, alphabetically. Samples have longer times.
pub fn strategy() -> Value {
    json!({
        "type": "Progressive",
        "progressive": {
            "maxConcurrency": 1, "minSuccessTime": "10s", "progressDeadline": "60s", "maxFailures": 0,
        },
    })
}

pub fn spec(version: &str, image: &str) -> Spec {
    let bundle =
        Bundle::new().namespace(ADD_ON).config("settings", version).deployment("collector", image);
    // A container that ends at once is ready for a moment each time; no such moment is as long as this soak.
    Spec::inline(version, &bundle).namespace(ADD_ON).policy("timeout", "30s").policy("soak", "5s")
}

pub async fn until_available(site: &Site, version: &str) -> Result<ManagedAddOnStatus> {
    let add_on = site.add_on(ADD_ON);
    until(&format!("cluster {} to run {ADD_ON} {version}", site.name), PATIENCE, || async {
        let status = add_on.status().await?;
        let there = status.current_version.as_deref() == Some(version);
        let asked = status.desired_version.as_deref() == Some(version);
        if there && asked && status.phase == Some(Phase::Available) {
            return Ok(Some(status));
        }
        anyhow::bail!("{}", testbed::summarize(&status))
    })
    .await
}

/// Neither asked for, nor in what was tried.
async fn never_got(bed: &Bed, version: &str) -> Result<()> {
    let placed = bed.hub.template_reference(TWO, ADD_ON).await?;
    ensure!(placed.desired.as_deref() == Some(&format!("{ADD_ON}-1.1.0")), "{placed:?}");
    let add_on = bed.two.add_on(ADD_ON).get().await?.context("no ManagedAddOn on two")?;
    let text = serde_json::to_string(&add_on)?;
    ensure!(!text.contains(version), "cluster two knows of {version}: {text}");
    Ok(())
}
