//! The main job: install, upgrade, and the way back that the agent finds by itself.

use anyhow::{Context, Result, ensure};
use lifecycle::{OperationKind, OperationResult, Phase};
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};

use crate::harness::Bed;

pub async fn installs_upgrades_and_prunes(bed: &Bed) -> Result<()> {
    let managed = bed.managed().await?;
    let add_on = managed.add_on("upgrades");
    let old = Bundle::new()
        .namespace("upgrades")
        .config("settings", "old")
        .config("dropped", "old")
        .deployment("web", READY);
    let new =
        Bundle::new().namespace("upgrades").config("settings", "new").deployment("web", READY);

    add_on.assign(&Spec::inline("1.4.0", &old).namespace("upgrades")).await?;
    let status = add_on.until_available("1.4.0").await?;
    ensure!(status.operation == Some(OperationKind::Install));
    ensure!(status.result == Some(OperationResult::Succeeded));
    let (started, completed) = (status.started_time, status.completion_time);
    ensure!(completed.context("no completion")?.0 >= started.context("no start")?.0);
    ensure!(add_on.config("upgrades", "dropped").await?.is_some());

    add_on.assign(&Spec::inline("1.5.0", &new).namespace("upgrades")).await?;
    let status = add_on.until_available("1.5.0").await?;
    ensure!(status.operation == Some(OperationKind::Upgrade));
    ensure!(status.previous_version.as_deref() == Some("1.4.0"));
    ensure!(add_on.config("upgrades", "settings").await?.as_deref() == Some("new"));
    ensure!(add_on.config("upgrades", "dropped").await?.is_none(), "not pruned");
    Ok(())
}

pub async fn rolls_back_what_does_not_become_ready(bed: &Bed) -> Result<()> {
    let managed = bed.managed().await?;
    let add_on = managed.add_on("rollback");
    let bundle = |image| Bundle::new().namespace("rollback").deployment("web", image);
    let good = Spec::inline("1.5.0", &bundle(READY)).namespace("rollback");
    let bad = Spec::inline("1.6.0", &bundle(NEVER_READY).config("extra", "new"));
    let bad = bad.namespace("rollback").policy("timeout", "4s");

    add_on.assign(&good).await?;
    add_on.until_available("1.5.0").await?;
    add_on.assign(&bad).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    ensure!(status.operation == Some(OperationKind::Rollback));
    ensure!(status.result == Some(OperationResult::Succeeded));
    ensure!(status.current_version.as_deref() == Some("1.5.0"));
    ensure!(status.desired_version.as_deref() == Some("1.6.0"));
    ensure!(status.reason.as_deref() == Some("TimedOut"), "{:?}", status.reason);
    ensure!(add_on.image("rollback", "web").await?.as_deref() == Some(READY));
    ensure!(add_on.config("rollback", "extra").await?.is_none(), "left behind");
    Ok(())
}
