//! Restarts and outages of the agent and of the API server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use lifecycle::{OperationKind, Phase};
use serde_json::json;
use testbed::Managed;
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};
use testbed::fault_proxy::{Fault, Moment, Planned, Record, Script};
use testbed::wait::{outlast, until};
use tokio::time::Instant;

use crate::TIMEOUT;
use crate::harness::Shared;

fn spec(version: &str, image: &str) -> Spec {
    let bundle = Bundle::new().namespace("shop").deployment("web", image).config("v", version);
    Spec::inline(version, &bundle).namespace("shop")
}

/// It is killed in each lasting phase and several times in a row. `cargo faults` kills it at every request.
pub async fn a_killed_agent_continues_where_it_was(_: &Shared) -> Result<()> {
    let managed = Managed::start_with_agent("killed").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    let bad = spec("1.1.0", NEVER_READY);
    for (phase, timeout) in [(Phase::Verifying, "10m"), (Phase::RollingBack, "1s")] {
        add_on.assign(&bad.clone().policy("timeout", timeout).policy("soak", "10m")).await?;
        add_on.until_phase(phase).await?;
        managed.kill_agent()?;
        managed.start_agent(&[]).await?;
    }
    add_on.assign(&bad).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    ensure!(add_on.image("shop", "web").await?.as_deref() == Some(READY));
    let rollbacks =
        status.history.iter().filter(|entry| entry.operation == OperationKind::Rollback);
    ensure!(rollbacks.count() == 1, "{:?}", status.history);

    // A restart of the agent does not retry a version.
    managed.kill_agent()?;
    managed.start_agent(&[]).await?;
    add_on.assign(&spec("1.2.0", READY)).await?;
    let status = add_on.until_available("1.2.0").await?;
    let attempts = status.history.iter().filter(|entry| entry.version.as_deref() == Some("1.1.0"));
    ensure!(attempts.count() == 1, "{:?}", status.history);
    Ok(())
}

pub async fn a_lost_status_is_rebuilt_without_an_install(_: &Shared) -> Result<()> {
    let managed = Managed::start_with_agent("lost").await?;
    let add_on = managed.add_on("shop");
    for version in ["1.0.0", "1.1.0"] {
        add_on.assign(&spec(version, READY)).await?;
        add_on.until_available(version).await?;
    }
    // The labels of the retained releases follow the status.
    let states = "get secrets --namespace open-cluster-management-agent-addon --selector lifecycle.open-cluster-management.io/state --output jsonpath={.items[*].metadata.labels.lifecycle\\.open-cluster-management\\.io/state}";
    until("the retained releases to be labelled", TIMEOUT, || async {
        let states = managed.kubectl(states).await?;
        let mut states: Vec<&str> = states.split(' ').collect();
        states.sort_unstable();
        Ok((states == ["current", "previous"]).then_some(()))
    })
    .await?;
    managed.stop_agent().await?;
    let cleared = json!({"status": null});
    let patch = "patch managedaddon shop --subresource status --type merge";
    managed.kubectl(&format!("{patch} --patch {cleared}")).await?;
    ensure!(add_on.status().await?.phase.is_none(), "the status is still there");

    managed.start_agent(&[]).await?;
    let status = add_on.until_available("1.1.0").await?;
    ensure!(status.previous_version.as_deref() == Some("1.0.0"));
    let installs = status.history.iter().any(|entry| entry.operation == OperationKind::Install);
    ensure!(!installs, "{:?}", status.history);
    Ok(())
}

/// Only the ledger is needed, and nothing of it is lost.
pub async fn an_unreadable_status_is_rebuilt_from_the_ledger(_: &Shared) -> Result<()> {
    let managed = Managed::start_with_agent("unread").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    let patch = "patch managedaddon shop --subresource status --type merge";
    let unreadable = json!({"status": {"completionTime": "9999-12-31T23:59:59Z"}});
    for (version, restart) in [("1.1.0", false), ("1.2.0", true)] {
        if restart {
            managed.stop_agent().await?;
        }
        managed.kubectl(&format!("{patch} --patch {unreadable}")).await?;
        if restart {
            managed.start_agent(&[]).await?;
        }
        add_on.assign(&spec(version, READY)).await?;
        let status = add_on.until_available(version).await?;
        ensure!(status.operation == Some(OperationKind::Upgrade), "{:?}", status.operation);
    }
    Ok(())
}

/// The outage is longer than the time-out, in the middle of an upgrade. Time without observations does not count.
pub async fn an_unreachable_api_server_fails_no_rollout(_: &Shared) -> Result<()> {
    let managed = Managed::start_with_agent("away").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    let upgrade = spec("1.1.0", READY).policy("timeout", "20s").policy("soak", "10s");
    add_on.assign(&upgrade).await?;
    add_on.until_phase(Phase::Verifying).await?;
    managed.plane.stop_api().await?;
    let stopped = Instant::now();
    // The agent stops writing after ten seconds.
    until("the agent to lose its lease", TIMEOUT, || async {
        let log = managed.agent_log();
        Ok(log.contains("lost the agent lease").then_some(()))
    })
    .await?;
    outlast(stopped, Duration::from_secs(20)).await;
    managed.plane.start_api().await?;
    let status = add_on.until_available("1.1.0").await?;
    let failed = status.history.iter().any(|entry| entry.operation == OperationKind::Rollback);
    ensure!(!failed, "{:?}", status.history);
    Ok(())
}

pub async fn only_one_of_two_agents_writes(_: &Shared) -> Result<()> {
    let managed = Managed::start("two").await?;
    // Even on the same machine, under the same name.
    managed.spawn_agent_as("machine", &[])?;
    managed.until_ready(TIMEOUT).await?;
    managed.spawn_agent_as("machine", &[])?;
    managed.until_unready("another agent, machine", TIMEOUT).await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    ensure!(!managed.agent_log().contains("phase changed"), "the second agent wrote too");

    managed.kill_first_agent()?;
    add_on.assign(&spec("1.1.0", READY)).await?;
    add_on.until_available("1.1.0").await?;
    ensure!(managed.agent_log().contains("phase changed"), "the second agent did not write");
    Ok(())
}

/// It is frozen in the middle of an upgrade for longer than its lease is valid, and continues when another agent has
/// finished the upgrade.
pub async fn an_agent_that_lost_its_lease_while_frozen_stops_writing(_: &Shared) -> Result<()> {
    let script = Arc::new(Script::default());
    let (managed, _proxy) = Managed::start_behind_proxy("frozen", &script).await?;
    let managed = Arc::new(managed);
    managed.spawn_agent_as("first", &[])?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;

    let frozen = managed.clone();
    let freeze = Arc::new(move |_: Moment| _ = frozen.freeze_first_agent());
    let fault = Fault::Kill(Moment::Unanswered);
    script.begin(&[Planned { at: FIRST_WRITE, fault }], Arc::new(is_write), freeze);
    add_on.assign(&spec("1.1.0", READY)).await?;
    until("the first agent to be frozen", TIMEOUT, || async {
        Ok(script.is_finished().then_some(()))
    })
    .await?;
    managed.spawn_agent_without_proxy("second", &[])?;
    add_on.until_available("1.1.0").await?;

    let before = script.records().len();
    managed.thaw_first_agent()?;
    until("the first agent to lose its lease", TIMEOUT, || async {
        let log = managed.first_agent_log();
        Ok(log.contains("lost the agent lease").then_some(()))
    })
    .await?;
    let late_writes = script.records().len() - before;
    ensure!(late_writes <= CONCURRENT_REQUESTS, "the frozen agent wrote {late_writes} times");
    let status = add_on.status().await?;
    ensure!(status.phase == Some(Phase::Available), "{status:?}");
    Ok(())
}

/// Index of the first write: each of the three objects is dry-run before.
const FIRST_WRITE: usize = 3;
/// Requests at the same time for one add-on.
const CONCURRENT_REQUESTS: usize = 8;

/// Returns whether a request writes an object of an add-on, and not a lease or a ledger.
fn is_write(record: &Record) -> bool {
    let own_paths = ["/leases/", "/managedaddons/", "/events", "selfsubject", "/secrets"];
    record.verb != "GET" && !own_paths.iter().any(|path| record.path.contains(path))
}

pub async fn objects_that_others_edit_or_delete_are_repaired(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let add_on = managed.add_on("drift");
    let bundle =
        Bundle::new().namespace("drift").config("edited", "ours").config("deleted", "ours");
    add_on.assign(&Spec::inline("1.0.0", &bundle).namespace("drift")).await?;
    add_on.until_available("1.0.0").await?;
    let edit = json!({"data": {"value": "foreign"}});
    let patch = "patch configmap edited --namespace drift --type merge";
    managed.kubectl(&format!("{patch} --patch {edit}")).await?;
    managed.kubectl("delete configmap deleted --namespace drift").await?;
    until("both to be repaired", TIMEOUT, || async {
        let values =
            [add_on.config("drift", "edited").await?, add_on.config("drift", "deleted").await?];
        if values.iter().flatten().all(|value| value == "ours")
            && values.iter().all(Option::is_some)
        {
            Ok(Some(()))
        } else {
            bail!("{values:?}")
        }
    })
    .await?;
    let line = r#"addon_agent_drift_repaired_total{addon="drift"} 2"#;
    ensure!(managed.metrics().await?.contains(line), "the repairs were not counted");
    Ok(())
}
