//! The agent, or the API server under it, goes away and comes back.

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

use crate::LONG;
use crate::harness::Bed;

fn spec(version: &str, image: &str) -> Spec {
    let bundle = Bundle::new().namespace("shop").deployment("web", image).config("v", version);
    Spec::inline(version, &bundle).namespace("shop")
}

/// In each phase that lasts, and several times in a row; issue by issue the whole matrix comes with fault injection.
pub async fn a_killed_agent_goes_on_where_it_was(_: &Bed) -> Result<()> {
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

    // A version is not tried again because the agent was started again.
    managed.kill_agent()?;
    managed.start_agent(&[]).await?;
    add_on.assign(&spec("1.2.0", READY)).await?;
    let status = add_on.until_available("1.2.0").await?;
    let tried = status.history.iter().filter(|entry| entry.version.as_deref() == Some("1.1.0"));
    ensure!(tried.count() == 1, "{:?}", status.history);
    Ok(())
}

pub async fn a_lost_status_is_rebuilt_without_an_install(_: &Bed) -> Result<()> {
    let managed = Managed::start_with_agent("lost").await?;
    let add_on = managed.add_on("shop");
    for version in ["1.0.0", "1.1.0"] {
        add_on.assign(&spec(version, READY)).await?;
        add_on.until_available(version).await?;
    }
    // The retained releases are marked after the status.
    let states = "get secrets --namespace open-cluster-management-agent-addon --selector lifecycle.open-cluster-management.io/state --output jsonpath={.items[*].metadata.labels.lifecycle\\.open-cluster-management\\.io/state}";
    until("what is retained to be marked", LONG, || async {
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

/// Of what nobody can read, only the ledger is needed; and of that, nothing is lost.
pub async fn a_status_that_cannot_be_read_is_made_anew(_: &Bed) -> Result<()> {
    let managed = Managed::start_with_agent("unread").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    let patch = "patch managedaddon shop --subresource status --type merge";
    let beyond = json!({"status": {"completionTime": "9999-12-31T23:59:59Z"}});
    for (version, restart) in [("1.1.0", false), ("1.2.0", true)] {
        if restart {
            managed.stop_agent().await?;
        }
        managed.kubectl(&format!("{patch} --patch {beyond}")).await?;
        if restart {
            managed.start_agent(&[]).await?;
        }
        add_on.assign(&spec(version, READY)).await?;
        let status = add_on.until_available(version).await?;
        ensure!(status.operation == Some(OperationKind::Upgrade), "{:?}", status.operation);
    }
    Ok(())
}

/// Longer away than the time-out, in the middle of an upgrade: what cannot be seen is not judged.
pub async fn an_unreachable_api_server_fails_nothing(_: &Bed) -> Result<()> {
    let managed = Managed::start_with_agent("away").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    let upgrade = spec("1.1.0", READY).policy("timeout", "20s").policy("soak", "10s");
    add_on.assign(&upgrade).await?;
    add_on.until_phase(Phase::Verifying).await?;
    managed.plane.stop_api().await?;
    let away = Instant::now();
    // It stops writing after ten seconds.
    until("the agent to have given up its lease", LONG, || async {
        let log = managed.agent_log();
        Ok(log.contains("lost the agent lease").then_some(()))
    })
    .await?;
    outlast(away, Duration::from_secs(20)).await;
    managed.plane.start_api().await?;
    let status = add_on.until_available("1.1.0").await?;
    let failed = status.history.iter().any(|entry| entry.operation == OperationKind::Rollback);
    ensure!(!failed, "{:?}", status.history);
    Ok(())
}

pub async fn only_one_of_two_agents_writes(_: &Bed) -> Result<()> {
    let managed = Managed::start("two").await?;
    managed.spawn_agent_as("first", &[])?;
    managed.until_ready(LONG).await?;
    managed.spawn_agent_as("second", &[])?;
    managed.until_unready("another agent, first", LONG).await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    ensure!(!managed.agent_log().contains("phase changed"), "the second wrote too");

    managed.kill_first_agent()?;
    add_on.assign(&spec("1.1.0", READY)).await?;
    add_on.until_available("1.1.0").await?;
    ensure!(managed.agent_log().contains("phase changed"), "somebody else wrote");
    Ok(())
}

/// Frozen in the middle of an upgrade for longer than its lease lasts, and awake when another has finished it.
pub async fn an_agent_that_was_frozen_writes_no_more(_: &Bed) -> Result<()> {
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
    script.begin(&[Planned { at: AFTER_THE_CHECK, fault }], Arc::new(is_write), freeze);
    add_on.assign(&spec("1.1.0", READY)).await?;
    until("the first to be frozen", LONG, || async { Ok(script.is_finished().then_some(())) })
        .await?;
    managed.spawn_agent_without_proxy("second", &[])?;
    add_on.until_available("1.1.0").await?;

    let before = script.records().len();
    managed.thaw_first_agent()?;
    until("the first to see that it is not alone", LONG, || async {
        let log = managed.first_agent_log();
        Ok(log.contains("lost the agent lease").then_some(()))
    })
    .await?;
    let late = script.records().len() - before;
    ensure!(late <= AT_ONCE, "{late} writes of the one that was frozen");
    let status = add_on.status().await?;
    ensure!(status.phase == Some(Phase::Available), "{status:?}");
    Ok(())
}

/// Each of the three objects is dry-run before the first is written.
const AFTER_THE_CHECK: usize = 3;
/// Requests at once for one add-on.
const AT_ONCE: usize = 8;

/// Of an add-on's object: neither a lease nor a ledger.
fn is_write(record: &Record) -> bool {
    let books = ["/leases/", "/managedaddons/", "/events", "selfsubject", "/secrets"];
    record.verb != "GET" && !books.iter().any(|book| record.path.contains(book))
}

pub async fn what_others_change_or_delete_is_put_back(bed: &Bed) -> Result<()> {
    let managed = bed.managed().await?;
    let add_on = managed.add_on("drift");
    let bundle =
        Bundle::new().namespace("drift").config("edited", "ours").config("deleted", "ours");
    add_on.assign(&Spec::inline("1.0.0", &bundle).namespace("drift")).await?;
    add_on.until_available("1.0.0").await?;
    let theirs = json!({"data": {"value": "theirs"}});
    let patch = "patch configmap edited --namespace drift --type merge";
    managed.kubectl(&format!("{patch} --patch {theirs}")).await?;
    managed.kubectl("delete configmap deleted --namespace drift").await?;
    until("both to be put back", LONG, || async {
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
    ensure!(managed.metrics().await?.contains(line), "not counted");
    Ok(())
}
