//! An agent that crashes at the same place again and again.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use anyhow::{Result, bail, ensure};
use lifecycle::{ManagedAddOnStatus, Phase};
use testbed::bundle::{NEVER_READY, READY};
use testbed::wait::until;
use testbed::webhook::Webhook;
use testbed::{AddOn, Managed, summarize};

use super::{is_write_of, rollbacks, spec};
use crate::TIMEOUT;
use crate::harness::Shared;

/// Kills the agent in the middle of each write of a ConfigMap with one of the values.
struct Killer {
    crashes: Arc<AtomicU32>,
    _webhook: Webhook,
}

impl Killer {
    async fn start(managed: &Arc<Managed>, values: &'static [&'static str]) -> Result<Self> {
        let crashes = Arc::new(AtomicU32::new(0));
        let (count, weak) = (crashes.clone(), Arc::downgrade(managed));
        let webhook = Webhook::start(move |request| {
            if values.iter().any(|value| is_write_of(request, value)) && kill(&weak) {
                count.fetch_add(1, Relaxed);
            }
            true
        });
        let webhook = webhook.await?;
        webhook.watch(&managed.plane, "shop").await?;
        Ok(Self { crashes, _webhook: webhook })
    }

    /// Returns how often it killed the agent.
    fn crashes(&self) -> u32 {
        self.crashes.load(Relaxed)
    }
}

fn kill(managed: &Weak<Managed>) -> bool {
    managed.upgrade().is_some_and(|managed| managed.kill_agent().is_ok())
}

/// Waits for the phase. Meanwhile it restarts the agent after each crash, as the kubelet would.
async fn until_phase(
    managed: &Managed,
    add_on: &AddOn,
    phase: Phase,
) -> Result<ManagedAddOnStatus> {
    until(&format!("{} to be {}", add_on.name, phase.name()), TIMEOUT, || async {
        if managed.agent_exit_status()?.is_some() {
            managed.spawn_agent(&[])?;
        }
        let status = add_on.status().await?;
        if status.phase == Some(phase) { Ok(Some(status)) } else { bail!("{}", summarize(&status)) }
    })
    .await
}

pub async fn a_version_that_crashes_the_agent_is_rolled_back_after_three_crashes(
    _: &Shared,
) -> Result<()> {
    let managed = Arc::new(Managed::start_with_agent("crash-loop").await?);
    let (add_on, other) = (managed.add_on("shop"), managed.add_on("other"));
    for add_on in [&add_on, &other] {
        add_on.assign(&spec(&add_on.name, "1.0.0", READY)).await?;
        add_on.until_available("1.0.0").await?;
    }
    let killer = Killer::start(&managed, &["1.1.0"]).await?;
    // A rollout that is in progress all the time without being the cause.
    other.assign(&spec("other", "1.1.0", NEVER_READY).policy("timeout", "10m")).await?;
    other.until_phase(Phase::Verifying).await?;
    add_on.assign(&spec("shop", "1.1.0", READY)).await?;
    let status = until_phase(&managed, &add_on, Phase::RolledBack).await?;
    ensure!(killer.crashes() == 3, "{} crashes", killer.crashes());
    ensure!(status.reason.as_deref() == Some("CrashLoop"), "{}", summarize(&status));
    ensure!(rollbacks(&status) == 1, "{:?}", status.history);
    ensure!(add_on.config("shop", "v").await?.as_deref() == Some("1.0.0"));

    let status = other.status().await?;
    ensure!(status.phase == Some(Phase::Verifying), "{}", summarize(&status));
    other.assign(&spec("other", "1.2.0", READY)).await?;
    other.until_available("1.2.0").await?;
    add_on.assign(&spec("shop", "1.2.0", READY)).await?;
    add_on.until_available("1.2.0").await?;
    ensure!(killer.crashes() == 3, "{} crashes", killer.crashes());
    Ok(())
}

pub async fn a_rollback_that_crashes_the_agent_too_fails_until_a_retry(_: &Shared) -> Result<()> {
    let managed = Arc::new(Managed::start_with_agent("crash-back").await?);
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("shop", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    let killer = Killer::start(&managed, &["1.0.0", "1.1.0"]).await?;
    add_on.assign(&spec("shop", "1.1.0", READY)).await?;
    let status = until_phase(&managed, &add_on, Phase::Failed).await?;
    ensure!(killer.crashes() == 6, "{} crashes", killer.crashes());
    ensure!(status.reason.as_deref() == Some("RollbackFailed"), "{}", summarize(&status));
    ensure!(rollbacks(&status) == 1, "{:?}", status.history);

    managed.kubectl("delete validatingwebhookconfiguration watches-shop").await?;
    ensure!(managed.agent_exit_status()?.is_none(), "the agent crashed at rest");
    add_on.annotate("retry", Some("repaired")).await?;
    add_on.until_available("1.1.0").await?;
    ensure!(add_on.config("shop", "v").await?.as_deref() == Some("1.1.0"));
    Ok(())
}
