//! Fleet mode: the test writes and deletes the `ManagedAddOn` in the klusterlet's place. The agent reports, removes OCM's
//! premature completion, and uninstalls nothing without an order.

use anyhow::{Context, Result, bail, ensure};
use lifecycle::{ManagedAddOn, ManagedAddOnStatus, Phase};
use serde_json::{Value, json};
use testbed::AddOn;
use testbed::bundle::{Bundle, READY, Spec};
use testbed::wait::until;
use testbed::{Hub, Managed};

use crate::TIMEOUT;
use crate::harness::Shared;
use crate::hub::Pair;

/// The `ManifestWork` of the add-on.
const WORK: &str = "addon-shop-deploy-0";

/// A hub on which `shop` is part of a fleet, and a cluster on which the klusterlet applied it.
struct Fleet {
    hub: Hub,
    managed: Managed,
    shop: AddOn,
}

impl Fleet {
    async fn start(name: &str) -> Result<Self> {
        let pair = Pair::without_agent(name).await?;
        pair.hub.add_to_fleet("shop").await?;
        pair.hub.assign("shop", "shop-1.0.0").await?;
        pair.start_agent().await?;
        let Pair { hub, managed } = pair;
        let shop = managed.add_on("shop");
        let bundle = Bundle::new().namespace("shop").deployment("web", READY);
        shop.assign(&Spec::inline("1.0.0", &bundle).namespace("shop")).await?;
        shop.set_klusterlet_owner(&format!("{}-{WORK}", "0f".repeat(32))).await?;
        shop.until_available("1.0.0").await?;
        Ok(Self { hub, managed, shop })
    }

    /// Returns the UID of the Deployment.
    async fn deployment(&self) -> Result<Option<String>> {
        let deployment = self.shop.object("apps/v1", "Deployment", "shop", "web").await?;
        Ok(deployment.and_then(|it| Some(it.pointer("/metadata/uid")?.as_str()?.to_owned())))
    }
}

pub async fn an_eviction_leaves_everything_and_shows_orphaned(_: &Shared) -> Result<()> {
    let fleet = Fleet::start("evicted").await?;
    let (shop, deployment) = (&fleet.shop, fleet.deployment().await?);
    let before = shop.get().await?.context("no ManagedAddOn")?;
    shop.delete().await?;
    let is_orphaned = |status: &ManagedAddOnStatus| {
        status.conditions.iter().any(|it| it.type_ == "Orphaned" && it.status == "True")
    };
    let status = shop.until("to be orphaned", is_orphaned).await?;
    let after = shop.get().await?.context("no ManagedAddOn")?;
    ensure!(after.metadata.uid != before.metadata.uid, "it was not deleted");
    ensure!(after.metadata.owner_references.is_none(), "it still has an owner");
    ensure!(after.spec == before.spec);
    ensure_same_ledger(&before, &status)?;
    ensure!(fleet.deployment().await? == deployment, "the Deployment was recreated");

    // The klusterlet takes over again, as it does once the hub has its ManifestWork back.
    shop.set_klusterlet_owner(&format!("{}-{WORK}", "0f".repeat(32))).await?;
    shop.until("to be assigned again", |status| !is_orphaned(status)).await?;
    until("the Secret of the successor to be deleted", TIMEOUT, || async {
        let secrets = fleet.managed.kubectl("get secrets -A -o name").await?;
        Ok((!secrets.contains("successor-shop")).then_some(()))
    })
    .await
}

fn ensure_same_ledger(before: &ManagedAddOn, after: &ManagedAddOnStatus) -> Result<()> {
    let before = before.status.as_ref().context("no status")?;
    ensure!(
        after.phase == Some(Phase::Available) && after.current_version == before.current_version
    );
    ensure!(after.history == before.history, "{:?}", after.history);
    ensure!(after.started_time == before.started_time);
    Ok(())
}

pub async fn a_removal_waits_for_the_hub_and_uninstalls_if_it_was_ordered(
    _: &Shared,
) -> Result<()> {
    let fleet = Fleet::start("ordered").await?;
    let shop = &fleet.shop;
    fleet.hub.create_deleted_work(WORK).await?;
    fleet.hub.plane.stop_api().await?;
    shop.delete().await?;
    until("the status to name the hub", TIMEOUT, || async {
        let message = shop.status().await?.message.unwrap_or_default();
        if message.contains("until the hub confirms") { Ok(Some(())) } else { bail!("{message}") }
    })
    .await?;
    ensure!(fleet.deployment().await?.is_some(), "uninstalled before the hub could be asked");
    fleet.hub.plane.start_api().await?;
    shop.until_gone().await?;
    ensure!(fleet.deployment().await?.is_none(), "not uninstalled although the hub ordered it");
    Ok(())
}

pub async fn a_premature_completion_is_removed_from_the_hub(_: &Shared) -> Result<()> {
    let fleet = Fleet::start("premature").await?;
    let hub = &fleet.hub;
    hub.set_config_references("shop", references("shop-1.1.0")).await?;
    let current = until("the premature completion to be removed", TIMEOUT, || async {
        let now = hub.add_on("shop").await?["status"]["configReferences"].clone();
        if now[1].get("lastAppliedConfig").is_none() { Ok(Some(now)) } else { bail!("{now}") }
    })
    .await?;
    let mut expected = references("shop-1.1.0");
    expected[1].as_object_mut().context("an object")?.remove("lastAppliedConfig");
    ensure!(current == expected, "{current}");
    until("the report", TIMEOUT, || async {
        let report = hub.report("shop").await?;
        Ok((report["phase"] == "Available").then_some(()))
    })
    .await?;
    let conditions = hub.add_on("shop").await?["status"]["conditions"].clone();
    let kinds = conditions.as_array().into_iter().flatten().map(|it| it["type"].clone());
    let kinds: Vec<Value> = kinds.collect();
    ensure!(!kinds.contains(&json!("Available")) && !kinds.contains(&json!("Progressing")));
    Ok(())
}

/// Returns config references in which OCM counts the template as applied.
fn references(template: &str) -> Value {
    let group = "addon.open-cluster-management.io";
    let other = json!({"name": "all", "namespace": "default", "specHash": "d"});
    let config = json!({"name": template, "specHash": "t"});
    json!([
        {"group": group, "resource": "addondeploymentconfigs", "name": "all", "namespace": "default",
         "desiredConfig": other, "lastAppliedConfig": other, "lastObservedGeneration": 1},
        {"group": group, "resource": "addontemplates", "name": template,
         "desiredConfig": config, "lastAppliedConfig": config, "lastObservedGeneration": 1},
    ])
}
