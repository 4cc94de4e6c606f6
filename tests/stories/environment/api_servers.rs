//! Faults of the API servers: killed at any moment, frozen, or restored from a backup; and a frozen agent.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use lifecycle::{ManagedAddOnStatus, Phase};
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};
use testbed::wait::{outlast, until};
use testbed::webhook::Webhook;
use testbed::{AddOn, Hub, Managed};
use tokio::time::Instant;

use super::{is_write_of, rollbacks, spec};
use crate::TIMEOUT;
use crate::harness::Shared;

/// Starts a webhook that kills the API server in the middle of the first write of each of the values.
async fn start_killing_webhook(managed: &Arc<Managed>, values: &'static [&str]) -> Result<Webhook> {
    let remaining: Mutex<BTreeSet<&str>> = Mutex::new(values.iter().copied().collect());
    let weak = Arc::downgrade(managed);
    let webhook = Webhook::start(move |request| {
        let mut remaining = remaining.lock().unwrap_or_else(PoisonError::into_inner);
        let hit = remaining.iter().copied().find(|value| is_write_of(request, value));
        if let (Some(value), Some(managed)) = (hit, weak.upgrade()) {
            remaining.remove(value);
            managed.plane.kill_api().ok();
        }
        true
    });
    let webhook = webhook.await?;
    webhook.watch(&managed.plane, "shop").await?;
    Ok(webhook)
}

/// Waits until the API server is dead and the agent has noticed, and starts it again.
async fn restart_killed_api(managed: &Managed) -> Result<()> {
    until("the API server to be dead", TIMEOUT, || async {
        Ok(managed.plane.api_has_ended()?.then_some(()))
    })
    .await?;
    until_outage_logged(managed).await?;
    managed.plane.start_api().await
}

/// Waits until the agent has logged twice that it could not use the API server.
async fn until_outage_logged(managed: &Managed) -> Result<()> {
    // After a long outage the agent waits for its lease first.
    let messages = ["could not use the API server", "cannot acquire the agent lease yet"];
    let count = || {
        let log = managed.agent_log();
        messages.iter().map(|message| log.matches(message).count()).sum::<usize>()
    };
    let before = count();
    until("the agent to log the outage", TIMEOUT, || async {
        Ok((count() > before + 1).then_some(()))
    })
    .await
}

/// Connections stay open and requests hang, for longer than the time-out of the version.
pub async fn an_api_server_that_does_not_respond_fails_no_rollout(_: &Shared) -> Result<()> {
    let managed = Managed::start_with_agent("frozen-api").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("shop", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    let slow = spec("shop", "1.1.0", READY).policy("soak", "10s").policy("timeout", "20s");
    add_on.assign(&slow).await?;
    add_on.until_phase(Phase::Verifying).await?;
    managed.plane.freeze_api()?;
    let frozen = Instant::now();
    until_outage_logged(&managed).await?;
    outlast(frozen, Duration::from_secs(20)).await;
    managed.plane.thaw_api()?;
    let status = add_on.until_available("1.1.0").await?;
    ensure!(rollbacks(&status) == 0, "{:?}", status.history);
    Ok(())
}

pub async fn an_api_server_that_is_killed_at_any_moment_fails_no_rollout(_: &Shared) -> Result<()> {
    let managed = Arc::new(Managed::start_with_agent("killed-api").await?);
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("shop", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    let _webhook = start_killing_webhook(&managed, &["1.0.0", "1.1.0"]).await?;
    let bad = spec("shop", "1.1.0", NEVER_READY);
    add_on.assign(&bad.clone().policy("timeout", "10m")).await?;
    restart_killed_api(&managed).await.context("during the apply")?;
    add_on.until_phase(Phase::Verifying).await?;
    managed.plane.kill_api()?;
    restart_killed_api(&managed).await.context("during verification")?;
    add_on.assign(&bad.policy("timeout", "1s")).await?;
    restart_killed_api(&managed).await.context("during the rollback")?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    ensure!(rollbacks(&status) == 1, "{:?}", status.history);
    ensure!(status.history.iter().all(|entry| entry.reason != "CrashLoop"));
    ensure!(add_on.config("shop", "v").await?.as_deref() == Some("1.0.0"));
    ensure!(add_on.image("shop", "web").await?.as_deref() == Some(READY));
    Ok(())
}

/// Returns a version without pods: the controllers do not notice that they know more than a restored API server.
fn without_pods(version: &str) -> Spec {
    let bundle = Bundle::new().namespace("shop").config("v", version);
    let bundle = bundle.config(&format!("only-{version}"), version);
    Spec::inline(version, &bundle).namespace("shop")
}

async fn until_value(add_on: &AddOn, expected: &str) -> Result<()> {
    // A watch that is ahead of its server reports nothing, and the next list may be a minute away.
    until(&format!("v to be {expected}"), 2 * TIMEOUT, || async {
        match add_on.config("shop", "v").await? {
            Some(value) if value == expected => Ok(Some(())),
            value => bail!("{value:?}"),
        }
    })
    .await
}

pub async fn a_restored_older_etcd_is_continued_from(_: &Shared) -> Result<()> {
    let managed = Managed::start_with_agent("older").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&without_pods("1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    let settled = managed.plane.back_up().await?;
    add_on.assign(&without_pods("1.1.0").policy("soak", "20s")).await?;
    add_on.until_phase(Phase::Verifying).await?;
    let midway = managed.plane.back_up().await?;
    add_on.until_available("1.1.0").await?;

    managed.plane.restore(&midway).await?;
    ensure!(add_on.status().await?.phase == Some(Phase::Verifying), "it was not restored");
    let status = add_on.until_available("1.1.0").await?;
    ensure!(status.history.len() == 2, "{:?}", status.history);

    managed.plane.restore(&settled).await?;
    managed.kubectl("delete configmap v --namespace shop").await?;
    until_value(&add_on, "1.0.0").await?;
    ensure!(
        add_on.config("shop", "only-1.1.0").await?.is_none(),
        "an object of 1.1.0 was restored"
    );
    add_on.assign(&without_pods("1.2.0")).await?;
    let status = add_on.until_available("1.2.0").await?;
    ensure!(status.previous_version.as_deref() == Some("1.0.0"));
    ensure!(add_on.config("shop", "only-1.0.0").await?.is_none(), "not pruned");
    let versions: Vec<_> = status.history.iter().filter_map(|it| it.version.clone()).collect();
    ensure!(versions == ["1.2.0", "1.0.0"], "{versions:?}");
    Ok(())
}

pub async fn a_hub_restored_from_an_old_backup_uninstalls_nothing(_: &Shared) -> Result<()> {
    let (hub, managed) =
        tokio::try_join!(Hub::start("restored-hub", "edge"), Managed::start("restored"))?;
    let kubeconfig = hub.kubeconfig()?;
    let kubeconfig = kubeconfig.to_string_lossy();
    let more = ["--hub-kubeconfig", &kubeconfig, "--cluster-name", "edge"];
    managed.start_agent(&more).await?;
    hub.template("shop", "shop-1.0.0", &spec("shop", "1.0.0", READY)).await?;
    let before = hub.plane.back_up().await?;
    hub.assign("shop", "shop-1.0.0").await?;
    let add_on = managed.add_on("shop");
    add_on.until_available("1.0.0").await?;

    hub.plane.restore(&before).await?;
    // Only a new watch shows the restored state.
    managed.kill_agent()?;
    managed.start_agent(&more).await?;
    let is_orphaned = |status: &ManagedAddOnStatus| {
        status.conditions.iter().any(|it| it.type_ == "Orphaned" && it.status == "True")
    };
    add_on.until("to be orphaned", is_orphaned).await?;
    ensure!(add_on.image("shop", "web").await?.as_deref() == Some(READY), "uninstalled");
    hub.assign("shop", "shop-1.0.0").await?;
    let status = add_on.until("to be assigned again", |status| !is_orphaned(status)).await?;
    ensure!(status.phase == Some(Phase::Available) && status.history.len() == 1);
    Ok(())
}

/// Returns the seconds that the state has spent.
fn spent(status: &ManagedAddOnStatus) -> Option<u64> {
    status.rollout.as_ref()?.pointer("/state/spent")?.as_u64()
}

/// Time without observations does not count against a version: the machine may be suspended or the container stopped.
pub async fn time_in_which_the_agent_was_frozen_is_not_counted(_: &Shared) -> Result<()> {
    let managed = Managed::start_with_agent("still").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("shop", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&spec("shop", "1.1.0", NEVER_READY).policy("timeout", "30s")).await?;
    let before = add_on.until_phase(Phase::Verifying).await?;
    managed.freeze_agent()?;
    let leases: Api<Lease> =
        Api::namespaced(managed.plane.admin(), "open-cluster-management-agent-addon");
    until("the agent to be frozen for longer than the time-out", TIMEOUT, || async {
        let lease = leases.get("addon-lifecycle-agent").await?;
        let renewed = lease.spec.and_then(|spec| spec.renew_time).context("no time")?;
        let frozen = Timestamp::now().duration_since(renewed.0);
        Ok((frozen > SignedDuration::from_secs(35)).then_some(()))
    })
    .await?;
    managed.thaw_agent()?;
    let observed = until("the next observation", TIMEOUT, || async {
        let status = add_on.status().await?;
        Ok((spent(&status) > spent(&before)).then_some(status))
    })
    .await?;
    ensure!(observed.phase == Some(Phase::Verifying), "{}", testbed::summarize(&observed));
    add_on.assign(&spec("shop", "1.2.0", READY)).await?;
    let status = add_on.until_available("1.2.0").await?;
    ensure!(rollbacks(&status) == 0, "{:?}", status.history);
    Ok(())
}
