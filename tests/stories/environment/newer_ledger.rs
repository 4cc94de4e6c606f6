//! An agent of another age: its ledger is refused, not misread, and nothing is touched until the right one runs.

use anyhow::{Result, ensure};
use lifecycle::Phase;
use serde_json::{Value, json};
use testbed::bundle::{NEVER_READY, READY};
use testbed::wait::until;
use testbed::{AddOn, Managed};

use super::{rollbacks, spec};
use crate::LONG;
use crate::harness::Bed;

/// As a newer agent would have written it.
async fn set_form(managed: &Managed, form: u32) -> Result<()> {
    let form = json!({"status": {"rollout": {"format": form}}});
    let patch = "patch managedaddon shop --subresource status --type merge";
    managed.kubectl(&format!("{patch} --patch {form}")).await.map(drop)
}

async fn rollout(add_on: &AddOn) -> Result<Option<Value>> {
    Ok(add_on.status().await?.rollout)
}

/// Downgraded in a phase, the agent does nothing; upgraded again, it goes on.
async fn is_left_alone(managed: &Managed, add_on: &AddOn) -> Result<()> {
    managed.stop_agent().await?;
    set_form(managed, 2).await?;
    let before = rollout(add_on).await?;
    managed.start_agent(&[]).await?;
    until("the agent to say that it leaves the add-on alone", LONG, || async {
        Ok(managed.agent_log().contains("leaving this add-on alone").then_some(()))
    })
    .await?;
    until("an event that says so", LONG, || async {
        let events = managed.kubectl("get events --all-namespaces --output json").await?;
        Ok(events.contains("UnknownLedger").then_some(()))
    })
    .await?;
    ensure!(rollout(add_on).await? == before, "the ledger was touched");
    managed.stop_agent().await?;
    set_form(managed, 1).await?;
    managed.start_agent(&[]).await
}

pub async fn a_newer_ledger_is_left_alone_in_every_phase_that_lasts(_: &Bed) -> Result<()> {
    let managed = Managed::start_with_agent("newer").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("shop", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    is_left_alone(&managed, &add_on).await?;
    let bad = spec("shop", "1.1.0", NEVER_READY);
    for (phase, timeout) in [(Phase::Verifying, "10m"), (Phase::RollingBack, "1s")] {
        add_on.assign(&bad.clone().policy("timeout", timeout).policy("soak", "10m")).await?;
        add_on.until_phase(phase).await?;
        is_left_alone(&managed, &add_on).await?;
    }
    add_on.assign(&bad).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    ensure!(rollbacks(&status) == 1, "{:?}", status.history);
    is_left_alone(&managed, &add_on).await?;
    add_on.assign(&spec("shop", "1.2.0", READY)).await?;
    add_on.until_available("1.2.0").await?;
    Ok(())
}
