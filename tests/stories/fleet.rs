//! Fleet mode: somebody else brings and removes the `ManagedAddOn`, as the klusterlet would; the agent reports, puts right
//! what OCM noted too early, and removes nothing that nobody ordered.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lifecycle::{ManagedAddOn, ManagedAddOnStatus, Phase};
use serde_json::{Value, json};
use testbed::AddOn;
use testbed::bundle::{Bundle, READY, Spec};
use testbed::wait::until;
use testbed::{Hub, Managed};

use crate::harness::Bed;
use crate::hub::Pair;

const PATIENCE: Duration = Duration::from_secs(120);

const WORK: &str = "addon-shop-deploy-0";

/// A hub where `shop` is a fleet's, and a cluster where the klusterlet brought it.
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

    async fn deployment(&self) -> Result<Option<String>> {
        let found = self.shop.object("apps/v1", "Deployment", "shop", "web").await?;
        Ok(found.and_then(|found| Some(found.pointer("/metadata/uid")?.as_str()?.to_owned())))
    }
}

pub async fn an_eviction_leaves_everything_and_shows_it(_: &Bed) -> Result<()> {
    let fleet = Fleet::start("evicted").await?;
    let (shop, deployment) = (&fleet.shop, fleet.deployment().await?);
    let before = shop.get().await?.context("no ManagedAddOn")?;
    shop.delete().await?;
    let orphaned = |status: &ManagedAddOnStatus| {
        status.conditions.iter().any(|it| it.type_ == "Orphaned" && it.status == "True")
    };
    let status = shop.until("to be orphaned", orphaned).await?;
    let after = shop.get().await?.context("no ManagedAddOn")?;
    ensure!(after.metadata.uid != before.metadata.uid, "it was not deleted");
    ensure!(after.metadata.owner_references.is_none(), "it still has an owner");
    ensure!(after.spec == before.spec);
    same_ledger(&before, &status)?;
    ensure!(fleet.deployment().await? == deployment, "what was installed was touched");

    // Somebody asks for it again, as the klusterlet does once the hub has its work back.
    shop.set_klusterlet_owner(&format!("{}-{WORK}", "0f".repeat(32))).await?;
    shop.until("to be somebody's again", |status| !orphaned(status)).await?;
    until("the successor to be forgotten", PATIENCE, || async {
        let secrets = fleet.managed.kubectl("get secrets -A -o name").await?;
        Ok((!secrets.contains("successor-shop")).then_some(()))
    })
    .await
}

fn same_ledger(before: &ManagedAddOn, after: &ManagedAddOnStatus) -> Result<()> {
    let before = before.status.as_ref().context("no status")?;
    ensure!(
        after.phase == Some(Phase::Available) && after.current_version == before.current_version
    );
    ensure!(after.history == before.history, "{:?}", after.history);
    ensure!(after.started_time == before.started_time);
    Ok(())
}

pub async fn a_removal_waits_for_the_hub_and_is_done_if_it_was_ordered(_: &Bed) -> Result<()> {
    let fleet = Fleet::start("ordered").await?;
    let shop = &fleet.shop;
    fleet.hub.create_deleted_work(WORK).await?;
    fleet.hub.plane.stop_api().await?;
    shop.delete().await?;
    until("it to say what it waits for", PATIENCE, || async {
        let message = shop.status().await?.message.unwrap_or_default();
        if message.contains("before the hub says") { Ok(Some(())) } else { bail!("{message}") }
    })
    .await?;
    ensure!(fleet.deployment().await?.is_some(), "removed before anybody could know");
    fleet.hub.plane.start_api().await?;
    shop.until_gone().await?;
    ensure!(fleet.deployment().await?.is_none(), "an order was not heard");
    Ok(())
}

pub async fn what_is_noted_too_early_is_taken_back(_: &Bed) -> Result<()> {
    let fleet = Fleet::start("latched").await?;
    let hub = &fleet.hub;
    hub.set_config_references("shop", references("shop-1.1.0")).await?;
    let told = until("the early note to be taken back", PATIENCE, || async {
        let told = hub.add_on("shop").await?["status"]["configReferences"].clone();
        if told[1].get("lastAppliedConfig").is_none() { Ok(Some(told)) } else { bail!("{told}") }
    })
    .await?;
    let mut expected = references("shop-1.1.0");
    expected[1].as_object_mut().context("an object")?.remove("lastAppliedConfig");
    ensure!(told == expected, "{told}");
    until("the report", PATIENCE, || async {
        let reported = hub.report("shop").await?;
        Ok((reported["phase"] == "Available").then_some(()))
    })
    .await?;
    let conditions = hub.add_on("shop").await?["status"]["conditions"].clone();
    let kinds = conditions.as_array().into_iter().flatten().map(|it| it["type"].clone());
    let kinds: Vec<Value> = kinds.collect();
    ensure!(!kinds.contains(&json!("Available")) && !kinds.contains(&json!("Progressing")));
    Ok(())
}

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
