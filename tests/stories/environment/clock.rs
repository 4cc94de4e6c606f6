//! The wall clock of a running agent jumps by ten years and back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lifecycle::{OperationResult, Phase};
use testbed::bundle::{NEVER_READY, READY, Spec};
use testbed::clock::WallClock;
use testbed::wait::until;
use testbed::{Hub, Managed};

use super::spec;
use crate::TIMEOUT;
use crate::harness::Shared;

const TEN_YEARS: i64 = 10 * 365 * 24 * 60 * 60;

/// Longer than any rollout here, and much shorter than ten years.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub async fn a_jump_of_ten_years_ends_no_rollout_early_or_late(_: &Shared) -> Result<()> {
    let (hub, managed) =
        tokio::try_join!(Hub::start("clock-hub", "edge"), Managed::start("clock"))?;
    let clock = WallClock::new(&managed.plane)?;
    start_agent(&managed, &hub, &clock, "first").await?;
    let add_on = managed.add_on("shop");
    assign(&hub, &spec("shop", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;

    // Forward, during a soak.
    let started = Instant::now();
    assign(&hub, &spec("shop", "1.1.0", READY).policy("soak", "6s")).await?;
    add_on.until_phase(Phase::Verifying).await?;
    clock.set_offset(TEN_YEARS)?;
    let status = add_on.until_available("1.1.0").await?;
    ensure!(started.elapsed() > Duration::from_secs(6), "the soak was cut short");
    let upgrade = status.history.first().context("no history")?;
    ensure!(upgrade.result == OperationResult::Succeeded, "{upgrade:?}");
    ensure!(!is_ahead(Some(&upgrade.started_time)), "{upgrade:?}");
    ensure!(is_ahead(upgrade.completion_time.as_ref()), "the clock was not changed: {upgrade:?}");

    // Back, during a failing verification: its time-out counts seconds spent, and it does not end before it started.
    let bad = spec("shop", "1.2.0", NEVER_READY);
    assign(&hub, &bad.clone().policy("timeout", "10m")).await?;
    add_on.until_phase(Phase::Verifying).await?;
    clock.set_offset(0)?;
    hub.template("shop", "shop-1.2.0-in-a-hurry", &bad.policy("timeout", "5s")).await?;
    hub.assign("shop", "shop-1.2.0-in-a-hurry").await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    ensure!(status.current_version.as_deref() == Some("1.1.0"), "{status:?}");
    for entry in &status.history {
        let completed = entry.completion_time.as_ref();
        ensure!(Some(&entry.started_time) <= completed, "completed before it started: {entry:?}");
    }
    until_reported(&hub, "RolledBack").await?;

    // An agent with the right clock takes over from one whose clock was ahead.
    clock.set_offset(TEN_YEARS)?;
    assign(&hub, &spec("shop", "1.3.0", READY)).await?;
    add_on.until_available("1.3.0").await?;
    managed.kill_agent()?;
    clock.set_offset(0)?;
    start_agent(&managed, &hub, &clock, "second").await?;
    assign(&hub, &spec("shop", "1.4.0", READY)).await?;
    let status = add_on.until_available("1.4.0").await?;
    ensure!(!is_ahead(status.completion_time.as_ref()), "{status:?}");
    until_reported(&hub, "Available").await
}

async fn assign(hub: &Hub, spec: &Spec) -> Result<()> {
    let template = format!("shop-{}", spec.0["version"].as_str().context("a version")?);
    hub.template("shop", &template, spec).await?;
    hub.assign("shop", &template).await
}

async fn start_agent(managed: &Managed, hub: &Hub, clock: &WallClock, pod: &str) -> Result<()> {
    let kubeconfig = hub.kubeconfig()?;
    let kubeconfig = kubeconfig.to_string_lossy();
    let flags = ["--hub-kubeconfig", &kubeconfig, "--cluster-name", "edge"];
    managed.start_agent_with_prefix(&clock.command_prefix(), pod, &flags).await
}

fn is_ahead(time: Option<&Time>) -> bool {
    time.is_some_and(|time| time.0 > Timestamp::now() + DAY)
}

async fn until_reported(hub: &Hub, phase: &str) -> Result<()> {
    until(&format!("a report of {phase} on the hub"), TIMEOUT, || async {
        let report = hub.report("shop").await?;
        if report["phase"] == phase { Ok(Some(())) } else { bail!("{report}") }
    })
    .await
}
