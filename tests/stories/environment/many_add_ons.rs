//! Many add-ons at once, and assignments that change often.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use lifecycle::{OperationKind, Phase};
use testbed::Managed;
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};

use super::{rollbacks, spec};
use crate::harness::Shared;

const MANY: usize = 50;

/// Returns the version of one add-on of many. From 1.1.0 on one of them fails.
fn spec_of(number: usize, version: &str) -> Spec {
    let bundle = Bundle::new().config(&format!("v{number}"), version);
    let is_failing = number == MANY / 2 && version != "1.0.0";
    let bundle = if is_failing { bundle.deployment("failing", NEVER_READY) } else { bundle };
    let spec = Spec::inline(version, &bundle).namespace("crowd");
    if is_failing { spec.policy("timeout", "6s") } else { spec }
}

pub async fn one_failing_add_on_of_fifty_harms_no_other(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: crowd}}";
    managed.plane.apply_yaml(namespace).await?;
    let all: Vec<_> = (0..MANY).map(|n| (n, managed.add_on(&format!("crowd-{n}")))).collect();
    for version in ["1.0.0", "1.1.0"] {
        try_join_all(all.iter().map(|(n, add_on)| {
            let spec = spec_of(*n, version);
            async move { add_on.assign(&spec).await }
        }))
        .await?;
        for (number, add_on) in &all {
            if *number == MANY / 2 && version == "1.1.0" {
                let status = add_on.until_phase(Phase::RolledBack).await?;
                ensure!(rollbacks(&status) == 1, "{:?}", status.history);
            } else {
                let status = add_on.until_available(version).await?;
                ensure!(rollbacks(&status) == 0, "{:?}", status.history);
            }
        }
    }
    Ok(())
}

pub async fn a_flapping_assignment_ends_in_its_last_version(shared: &Shared) -> Result<()> {
    let add_on = shared.managed().await?.add_on("flaps");
    let assign = async |version| add_on.assign(&spec("flaps", version, READY)).await;
    assign("1.0.0").await?;
    add_on.until_available("1.0.0").await?;
    for version in ["1.1.0", "1.0.0", "1.1.0", "1.0.0", "1.1.0", "1.0.0"] {
        assign(version).await?;
    }
    add_on.until_available("1.0.0").await?;
    ensure!(add_on.config("flaps", "v").await?.as_deref() == Some("1.0.0"));
    for version in ["1.1.0", "1.0.0", "1.1.0"] {
        assign(version).await?;
    }
    add_on.until_available("1.1.0").await?;
    ensure!(add_on.config("flaps", "v").await?.as_deref() == Some("1.1.0"));
    Ok(())
}

pub async fn an_add_on_that_was_deleted_during_a_rollout_and_recreated_is_installed(
    shared: &Shared,
) -> Result<()> {
    let add_on = shared.managed().await?.add_on("reinstalled");
    add_on.assign(&spec("reinstalled", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&spec("reinstalled", "1.1.0", NEVER_READY)).await?;
    add_on.until_phase(Phase::Verifying).await?;
    add_on.delete().await?;
    add_on.until_gone().await?;
    add_on.assign(&spec("reinstalled", "1.2.0", READY)).await?;
    let status = add_on.until_available("1.2.0").await?;
    ensure!(status.operation == Some(OperationKind::Install), "{:?}", status.history);
    ensure!(status.history.len() == 1 && status.previous_version.is_none());
    Ok(())
}

/// The agent is stopped by SIGTERM, as when its node is drained.
pub async fn an_agent_that_was_stopped_in_any_phase_continues(_: &Shared) -> Result<()> {
    let managed = Managed::start_with_agent("drained").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("shop", "1.0.0", READY)).await?;
    for phase in [Phase::Verifying, Phase::Available] {
        add_on.until_phase(phase).await?;
        managed.stop_agent().await?;
        managed.start_agent(&[]).await?;
    }
    for (phase, timeout, soak) in [
        (Phase::Verifying, "10m", "10m"),
        (Phase::RollingBack, "1s", "10m"),
        (Phase::RolledBack, "1s", "1s"),
    ] {
        let bad = spec("shop", "1.1.0", NEVER_READY);
        add_on.assign(&bad.policy("timeout", timeout).policy("soak", soak)).await?;
        add_on.until_phase(phase).await?;
        managed.stop_agent().await?;
        managed.start_agent(&[]).await?;
    }
    let status = add_on.status().await?;
    ensure!(status.phase == Some(Phase::RolledBack) && rollbacks(&status) == 1);
    ensure!(add_on.image("shop", "web").await?.as_deref() == Some(READY));
    Ok(())
}
