//! An agent that ends at the same place again and again.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use anyhow::{Result, bail, ensure};
use lifecycle::{ManagedAddOnStatus, Phase};
use testbed::bundle::{NEVER_READY, READY};
use testbed::wait::until;
use testbed::webhook::Webhook;
use testbed::{AddOn, Managed, summarize};

use super::{rollbacks, spec, writes};
use crate::LONG;
use crate::harness::Bed;

/// Kills the agent in the middle of each write of a ConfigMap with one of the values.
struct Killer {
    deaths: Arc<AtomicU32>,
    _webhook: Webhook,
}

impl Killer {
    async fn start(managed: &Arc<Managed>, values: &'static [&'static str]) -> Result<Self> {
        let deaths = Arc::new(AtomicU32::new(0));
        let (count, managed_by) = (deaths.clone(), Arc::downgrade(managed));
        let webhook = Webhook::start(move |asked| {
            if values.iter().any(|value| writes(asked, value)) && kill(&managed_by) {
                count.fetch_add(1, Relaxed);
            }
            true
        });
        let webhook = webhook.await?;
        webhook.watch(&managed.plane, "shop").await?;
        Ok(Self { deaths, _webhook: webhook })
    }

    fn deaths(&self) -> u32 {
        self.deaths.load(Relaxed)
    }
}

fn kill(managed: &Weak<Managed>) -> bool {
    managed.upgrade().is_some_and(|managed| managed.kill_agent().is_ok())
}

/// Waits for the phase, and starts the agent again whenever it has ended, as the kubelet would.
async fn until_phase(
    managed: &Managed,
    add_on: &AddOn,
    phase: Phase,
) -> Result<ManagedAddOnStatus> {
    until(&format!("{} to be {}", add_on.name, phase.name()), LONG, || async {
        if managed.agent_exit_status()?.is_some() {
            managed.spawn_agent(&[])?;
        }
        let status = add_on.status().await?;
        if status.phase == Some(phase) { Ok(Some(status)) } else { bail!("{}", summarize(&status)) }
    })
    .await
}

pub async fn a_version_that_ends_the_agent_is_rolled_back_after_three_deaths(
    _: &Bed,
) -> Result<()> {
    let managed = Arc::new(Managed::start_with_agent("crash-loop").await?);
    let (add_on, beside) = (managed.add_on("shop"), managed.add_on("beside"));
    for add_on in [&add_on, &beside] {
        add_on.assign(&spec(&add_on.name, "1.0.0", READY)).await?;
        add_on.until_available("1.0.0").await?;
    }
    let killer = Killer::start(&managed, &["1.1.0"]).await?;
    // Under way all the while, and not the cause.
    beside.assign(&spec("beside", "1.1.0", NEVER_READY).policy("timeout", "10m")).await?;
    beside.until_phase(Phase::Verifying).await?;
    add_on.assign(&spec("shop", "1.1.0", READY)).await?;
    let status = until_phase(&managed, &add_on, Phase::RolledBack).await?;
    ensure!(killer.deaths() == 3, "{} deaths", killer.deaths());
    ensure!(status.reason.as_deref() == Some("CrashLoop"), "{}", summarize(&status));
    ensure!(rollbacks(&status) == 1, "{:?}", status.history);
    ensure!(add_on.config("shop", "v").await?.as_deref() == Some("1.0.0"));

    let status = beside.status().await?;
    ensure!(status.phase == Some(Phase::Verifying), "{}", summarize(&status));
    beside.assign(&spec("beside", "1.2.0", READY)).await?;
    beside.until_available("1.2.0").await?;
    add_on.assign(&spec("shop", "1.2.0", READY)).await?;
    add_on.until_available("1.2.0").await?;
    ensure!(killer.deaths() == 3, "{} deaths", killer.deaths());
    Ok(())
}

pub async fn where_the_way_back_ends_the_agent_too_it_stays_until_asked(_: &Bed) -> Result<()> {
    let managed = Arc::new(Managed::start_with_agent("crash-back").await?);
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("shop", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    let killer = Killer::start(&managed, &["1.0.0", "1.1.0"]).await?;
    add_on.assign(&spec("shop", "1.1.0", READY)).await?;
    let status = until_phase(&managed, &add_on, Phase::Failed).await?;
    ensure!(killer.deaths() == 6, "{} deaths", killer.deaths());
    ensure!(status.reason.as_deref() == Some("RollbackFailed"), "{}", summarize(&status));
    ensure!(rollbacks(&status) == 1, "{:?}", status.history);

    managed.kubectl("delete validatingwebhookconfiguration watches-shop").await?;
    ensure!(managed.agent_exit_status()?.is_none(), "it ended at rest");
    add_on.annotate("retry", Some("mended")).await?;
    add_on.until_available("1.1.0").await?;
    ensure!(add_on.config("shop", "v").await?.as_deref() == Some("1.1.0"));
    Ok(())
}
