//! A downgraded agent: it does not read the ledger of a newer one, and touches nothing until the newer one runs again.

use anyhow::{Result, ensure};
use lifecycle::Phase;
use serde_json::{Value, json};
use testbed::bundle::{NEVER_READY, READY};
use testbed::wait::until;
use testbed::{AddOn, Managed};

use super::{rollbacks, spec};
use crate::TIMEOUT;
use crate::harness::Shared;

/// Sets the format of the ledger, as an agent of that format would.
async fn set_format(managed: &Managed, format: u32) -> Result<()> {
    let status = json!({"status": {"rollout": {"format": format}}});
    let patch = "patch managedaddon shop --subresource status --type merge";
    managed.kubectl(&format!("{patch} --patch {status}")).await.map(drop)
}

async fn rollout(add_on: &AddOn) -> Result<Option<Value>> {
    Ok(add_on.status().await?.rollout)
}

/// Downgrades the agent, which must do nothing, and upgrades it again.
async fn downgrade_and_upgrade(managed: &Managed, add_on: &AddOn) -> Result<()> {
    managed.stop_agent().await?;
    set_format(managed, 2).await?;
    let before = rollout(add_on).await?;
    managed.start_agent(&[]).await?;
    until("the agent to log that it leaves the add-on alone", TIMEOUT, || async {
        Ok(managed.agent_log().contains("leaving this add-on alone").then_some(()))
    })
    .await?;
    until("an event UnknownLedger", TIMEOUT, || async {
        let events = managed.kubectl("get events --all-namespaces --output json").await?;
        Ok(events.contains("UnknownLedger").then_some(()))
    })
    .await?;
    ensure!(rollout(add_on).await? == before, "the ledger changed");
    managed.stop_agent().await?;
    set_format(managed, 1).await?;
    managed.start_agent(&[]).await
}

pub async fn a_ledger_of_a_newer_agent_is_left_alone_in_every_lasting_phase(
    _: &Shared,
) -> Result<()> {
    let managed = Managed::start_with_agent("newer").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("shop", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    downgrade_and_upgrade(&managed, &add_on).await?;
    let bad = spec("shop", "1.1.0", NEVER_READY);
    for (phase, timeout) in [(Phase::Verifying, "10m"), (Phase::RollingBack, "1s")] {
        add_on.assign(&bad.clone().policy("timeout", timeout).policy("soak", "10m")).await?;
        add_on.until_phase(phase).await?;
        downgrade_and_upgrade(&managed, &add_on).await?;
    }
    add_on.assign(&bad).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    ensure!(rollbacks(&status) == 1, "{:?}", status.history);
    downgrade_and_upgrade(&managed, &add_on).await?;
    add_on.assign(&spec("shop", "1.2.0", READY)).await?;
    add_on.until_available("1.2.0").await?;
    Ok(())
}
