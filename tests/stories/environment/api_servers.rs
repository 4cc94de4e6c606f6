//! The API servers under the agent: killed at any moment, older than they were, and the time that stands still.

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

use super::{rollbacks, spec, writes};
use crate::LONG;
use crate::harness::Bed;

/// Kills the API server in the middle of the first write of each of the values.
async fn killing_webhook(managed: &Arc<Managed>, values: &'static [&str]) -> Result<Webhook> {
    let left: Mutex<BTreeSet<&str>> = Mutex::new(values.iter().copied().collect());
    let plane = Arc::downgrade(managed);
    let webhook = Webhook::start(move |asked| {
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        let hit = left.iter().copied().find(|value| writes(asked, value));
        if let (Some(value), Some(managed)) = (hit, plane.upgrade()) {
            left.remove(value);
            managed.plane.kill_api().ok();
        }
        true
    });
    let webhook = webhook.await?;
    webhook.watch(&managed.plane, "shop").await?;
    Ok(webhook)
}

/// The API server has died or dies soon; the agent misses it, and it comes back.
async fn misses_it(managed: &Managed) -> Result<()> {
    until("the API server to be dead", LONG, || async {
        Ok(managed.plane.api_has_ended()?.then_some(()))
    })
    .await?;
    is_missed(managed).await?;
    managed.plane.start_api().await
}

async fn is_missed(managed: &Managed) -> Result<()> {
    // Where it was away for long, the agent waits for its lease first.
    let words = ["the API server cannot be used", "cannot acquire the agent lease yet"];
    let missed = || {
        let log = managed.agent_log();
        words.iter().map(|words| log.matches(words).count()).sum::<usize>()
    };
    let before = missed();
    until("the agent to miss it", LONG, || async { Ok((missed() > before + 1).then_some(())) })
        .await
}

/// Half open: connections stay and requests hang, for longer than the version may take.
pub async fn an_api_server_that_answers_nothing_fails_nothing(_: &Bed) -> Result<()> {
    let managed = Managed::start_with_agent("frozen-api").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("shop", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    let slow = spec("shop", "1.1.0", READY).policy("soak", "10s").policy("timeout", "20s");
    add_on.assign(&slow).await?;
    add_on.until_phase(Phase::Verifying).await?;
    managed.plane.freeze_api()?;
    let frozen = Instant::now();
    is_missed(&managed).await?;
    outlast(frozen, Duration::from_secs(20)).await;
    managed.plane.thaw_api()?;
    let status = add_on.until_available("1.1.0").await?;
    ensure!(rollbacks(&status) == 0, "{:?}", status.history);
    Ok(())
}

pub async fn an_api_server_killed_anywhere_fails_nothing(_: &Bed) -> Result<()> {
    let managed = Arc::new(Managed::start_with_agent("killed-api").await?);
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("shop", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    let _webhook = killing_webhook(&managed, &["1.0.0", "1.1.0"]).await?;
    let bad = spec("shop", "1.1.0", NEVER_READY);
    add_on.assign(&bad.clone().policy("timeout", "10m")).await?;
    misses_it(&managed).await.context("in Applying")?;
    add_on.until_phase(Phase::Verifying).await?;
    managed.plane.kill_api()?;
    misses_it(&managed).await.context("in Verifying")?;
    add_on.assign(&bad.policy("timeout", "1s")).await?;
    misses_it(&managed).await.context("on the way back")?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    ensure!(rollbacks(&status) == 1, "{:?}", status.history);
    ensure!(status.history.iter().all(|entry| entry.reason != "CrashLoop"));
    ensure!(add_on.config("shop", "v").await?.as_deref() == Some("1.0.0"));
    ensure!(add_on.image("shop", "web").await?.as_deref() == Some(READY));
    Ok(())
}

/// Without pods: the controllers of a test bed do not notice that they know more than their API server.
fn plain(version: &str) -> Spec {
    let bundle = Bundle::new().namespace("shop").config("v", version);
    let bundle = bundle.config(&format!("only-{version}"), version);
    Spec::inline(version, &bundle).namespace("shop")
}

async fn until_value(add_on: &AddOn, expected: &str) -> Result<()> {
    // A watch that is ahead of its server tells nothing, and the next list may be a minute away.
    until(&format!("v to be {expected}"), 2 * LONG, || async {
        match add_on.config("shop", "v").await? {
            Some(value) if value == expected => Ok(Some(())),
            value => bail!("{value:?}"),
        }
    })
    .await
}

pub async fn an_older_etcd_is_gone_on_from(_: &Bed) -> Result<()> {
    let managed = Managed::start_with_agent("older").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&plain("1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    let settled = managed.plane.back_up().await?;
    add_on.assign(&plain("1.1.0").policy("soak", "20s")).await?;
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
    ensure!(add_on.config("shop", "only-1.1.0").await?.is_none(), "1.1.0 came back");
    add_on.assign(&plain("1.2.0")).await?;
    let status = add_on.until_available("1.2.0").await?;
    ensure!(status.previous_version.as_deref() == Some("1.0.0"));
    ensure!(add_on.config("shop", "only-1.0.0").await?.is_none(), "not pruned");
    let versions: Vec<_> = status.history.iter().filter_map(|it| it.version.clone()).collect();
    ensure!(versions == ["1.2.0", "1.0.0"], "{versions:?}");
    Ok(())
}

pub async fn a_hub_restored_from_an_old_backup_uninstalls_nothing(_: &Bed) -> Result<()> {
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
    // A watch that goes on does not tell of it; one that begins does.
    managed.kill_agent()?;
    managed.start_agent(&more).await?;
    let orphaned = |status: &ManagedAddOnStatus| {
        status.conditions.iter().any(|it| it.type_ == "Orphaned" && it.status == "True")
    };
    add_on.until("to be orphaned", orphaned).await?;
    ensure!(add_on.image("shop", "web").await?.as_deref() == Some(READY), "uninstalled");
    hub.assign("shop", "shop-1.0.0").await?;
    let status = add_on.until("to be assigned again", |status| !orphaned(status)).await?;
    ensure!(status.phase == Some(Phase::Available) && status.history.len() == 1);
    Ok(())
}

fn spent(status: &ManagedAddOnStatus) -> Option<u64> {
    status.rollout.as_ref()?.pointer("/state/spent")?.as_u64()
}

/// A suspended machine, a stopped container: what nobody looked at is not counted against a version.
pub async fn time_in_which_the_agent_stood_still_is_not_counted(_: &Bed) -> Result<()> {
    let managed = Managed::start_with_agent("still").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("shop", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&spec("shop", "1.1.0", NEVER_READY).policy("timeout", "30s")).await?;
    let before = add_on.until_phase(Phase::Verifying).await?;
    managed.freeze_agent()?;
    let leases: Api<Lease> =
        Api::namespaced(managed.plane.admin(), "open-cluster-management-agent-addon");
    until("the agent to have been still for longer than its time", LONG, || async {
        let lease = leases.get("addon-lifecycle-agent").await?;
        let renewed = lease.spec.and_then(|spec| spec.renew_time).context("no time")?;
        let still = Timestamp::now().duration_since(renewed.0);
        Ok((still > SignedDuration::from_secs(35)).then_some(()))
    })
    .await?;
    managed.thaw_agent()?;
    let looked = until("a look after that", LONG, || async {
        let status = add_on.status().await?;
        Ok((spent(&status) > spent(&before)).then_some(status))
    })
    .await?;
    ensure!(looked.phase == Some(Phase::Verifying), "{}", testbed::summarize(&looked));
    add_on.assign(&spec("shop", "1.2.0", READY)).await?;
    let status = add_on.until_available("1.2.0").await?;
    ensure!(rollbacks(&status) == 0, "{:?}", status.history);
    Ok(())
}
