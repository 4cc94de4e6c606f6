//! The agent as a program: CRD, readiness, termination and metrics.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use lifecycle::Phase;
use testbed::Managed;
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};
use testbed::wait::until;

use crate::TIMEOUT;
use crate::harness::Shared;

pub async fn the_crd_in_manifests_equals_the_types(shared: &Shared) -> Result<()> {
    let committed = include_str!("../../manifests/agent/crd.yaml");
    ensure!(
        committed == addon_agent::crd()?,
        "run: cargo run --package addon-agent -- crd > manifests/agent/crd.yaml"
    );
    // With this flag a warning of the API server is an error.
    let crd = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/agent/crd.yaml");
    let apply = format!("apply --server-side --force-conflicts --dry-run=server -f {crd}");
    shared.managed().await?.kubectl(&format!("{apply} --warnings-as-errors")).await?;
    Ok(())
}

pub async fn without_the_crd_the_agent_waits_and_is_not_ready(_: &Shared) -> Result<()> {
    let managed = Managed::start("bare").await?;
    let crd = "managedaddons.lifecycle.open-cluster-management.io";
    managed.kubectl(&format!("delete crd {crd}")).await?;
    managed.spawn_agent(&[])?;
    managed.until_unready("CRD is not installed", TIMEOUT).await?;
    ensure!(managed.get_page("/healthz").await? == "ok");
    managed.plane.apply_yaml(include_str!("../../manifests/agent/crd.yaml")).await?;
    managed.until_ready(Duration::from_secs(60)).await
}

/// The agent waits for no rollout: the next one continues it. Kubernetes gives it thirty seconds, the test ten.
pub async fn sigterm_ends_the_agent_during_a_rollout(_: &Shared) -> Result<()> {
    let managed = Managed::start_with_agent("ends").await?;
    let add_on = managed.add_on("shop");
    let bundle = Bundle::new().namespace("shop").deployment("web", NEVER_READY);
    let endless = Spec::inline("1.0.0", &bundle).namespace("shop").policy("timeout", "1h");
    add_on.assign(&endless).await?;
    add_on.until_phase(Phase::Verifying).await?;
    let status = managed.stop_agent().await?;
    ensure!(status.success(), "{status}");
    ensure!(add_on.status().await?.phase == Some(Phase::Verifying));
    Ok(())
}

pub async fn metrics_follow_a_rollout_with_closed_labels(_: &Shared) -> Result<()> {
    let managed = Managed::start_with_agent("metered").await?;
    let add_on = managed.add_on("shop");
    let spec = |version, image| {
        let bundle = Bundle::new().namespace("shop").deployment("web", image);
        Spec::inline(version, &bundle).namespace("shop")
    };
    add_on.assign(&spec("1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&spec("1.1.0", NEVER_READY).policy("timeout", "3s")).await?;
    add_on.until_phase(Phase::RolledBack).await?;
    let expected = [
        r#"addon_agent_phase{addon="shop",phase="RolledBack"} 1"#,
        r#"addon_agent_phase{addon="shop",phase="Available"} 0"#,
        r#"addon_agent_version_info{addon="shop",role="current",version="1.0.0"} 1"#,
        r#"addon_agent_version_info{addon="shop",role="desired",version="1.1.0"} 1"#,
        r#"addon_agent_operations_total{addon="shop",operation="Install",result="Succeeded"} 1"#,
        r#"addon_agent_operations_total{addon="shop",operation="Upgrade",result="Failed"} 1"#,
        r#"addon_agent_operations_total{addon="shop",operation="Rollback",result="Succeeded"} 1"#,
        r#"addon_agent_rollbacks_total{addon="shop",reason="TimedOut"} 1"#,
        r#"addon_agent_operation_duration_seconds_count{operation="Upgrade",result="Failed"} 1"#,
        "addon_agent_hub_connected 0",
        "addon_agent_build_info{",
    ];
    // The metrics follow the status.
    until("its metrics", TIMEOUT, || async {
        let metrics = managed.metrics().await?;
        let missing = expected.iter().find(|line| !metrics.contains(**line));
        missing.map_or(Ok(Some(())), |line| bail!("no {line} in\n{metrics}"))
    })
    .await?;
    add_on.delete().await?;
    add_on.until_gone().await?;
    until("its metrics to be removed", TIMEOUT, || async {
        Ok((!managed.metrics().await?.contains("addon=\"shop\"")).then_some(()))
    })
    .await
}
