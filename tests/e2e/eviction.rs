//! Evictions: a hub that was restored from an old backup does not know an add-on, so the klusterlet deletes what it applied.
//! The agent uninstalls nothing without an order.

use anyhow::{Context, Result, bail, ensure};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::json;
use testbed::Progress;
use testbed::ocm::Fleet;
use testbed::wait::until;

use crate::bed::{Bed, Cluster, TWO};
use crate::fleet::{ADD_ON, TIMEOUT};

const VERSION: &str = "1.1.0";

/// An eviction leaves everything in place, and the recreated `ManagedAddOn` belongs to the fleet again afterwards.
pub async fn evict_add_on(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading(
        "The hub loses the add-on of cluster two, like a hub that is restored from an old backup",
    );
    let (before, evicted) = (deployment_uid(&bed.two).await?, add_on_uid(&bed.two).await?);
    bed.hub.kill_controllers();
    bed.two.klusterlet.lock().await.kill();
    delete_silently(&bed.hub.works(TWO), &format!("addon-{ADD_ON}-deploy-0")).await?;
    delete_silently(&bed.hub.add_ons(TWO), ADD_ON).await?;
    bed.two.klusterlet.lock().await.start(&bed.two.managed.plane)?;
    until("the ManagedAddOn to be evicted and recreated", TIMEOUT, || async {
        let now = add_on_uid(&bed.two).await?;
        if now != evicted && is_orphaned(&bed.two).await? { Ok(Some(())) } else { bail!("{now:?}") }
    })
    .await?;
    ensure!(deployment_uid(&bed.two).await? == before, "the Deployment was recreated");
    progress
        .line("the klusterlet has deleted its ManagedAddOn; everything still runs and is Orphaned");

    bed.hub.start_controllers()?;
    Fleet::new(&bed.hub, ADD_ON).until_completed(TWO, VERSION, TIMEOUT).await?;
    until("the ManagedAddOn to belong to the fleet again", TIMEOUT, || async {
        Ok((!is_orphaned(&bed.two).await?).then_some(()))
    })
    .await?;
    ensure!(deployment_uid(&bed.two).await? == before, "the Deployment was recreated");
    progress.line("the hub has placed it again, and it belongs to the fleet as before");
    Ok(())
}

/// A deletion on the cluster of an add-on that the hub still assigns uninstalls nothing. OCM 1.0 itself does that when its
/// list of resource kinds is lost for a moment.
pub async fn delete_on_cluster(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("The ManagedAddOn on cluster two is deleted there; the hub still assigns it");
    let (before, evicted) = (deployment_uid(&bed.two).await?, add_on_uid(&bed.two).await?);
    bed.two.add_on(ADD_ON).delete().await?;
    until("the ManagedAddOn to be recreated", TIMEOUT, || async {
        let now = add_on_uid(&bed.two).await?;
        if now.is_some() && now != evicted { Ok(Some(())) } else { bail!("{now:?}") }
    })
    .await?;
    // It checks what it applied every five minutes, and when it starts.
    let mut klusterlet = bed.two.klusterlet.lock().await;
    klusterlet.kill();
    klusterlet.start(&bed.two.managed.plane)?;
    until("the ManagedAddOn to belong to the fleet again", TIMEOUT, || async {
        let add_on = bed.two.add_on(ADD_ON).get().await?.context("no ManagedAddOn")?;
        Ok(add_on.metadata.owner_references.map(|_| ()))
    })
    .await?;
    ensure!(deployment_uid(&bed.two).await? == before, "the Deployment was recreated");
    progress.line("nothing was uninstalled, and the klusterlet owns it again");
    Ok(())
}

/// Deletes an object at once: without its finalizers no controller notices.
async fn delete_silently(api: &Api<DynamicObject>, name: &str) -> Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch(name, &PatchParams::default(), &patch).await?;
    api.delete(name, &DeleteParams::default()).await?;
    Ok(())
}

async fn add_on_uid(cluster: &Cluster) -> Result<Option<String>> {
    Ok(cluster.add_on(ADD_ON).get().await?.and_then(|it| it.metadata.uid))
}

async fn deployment_uid(cluster: &Cluster) -> Result<String> {
    let deployment =
        cluster.add_on(ADD_ON).object("apps/v1", "Deployment", ADD_ON, "collector").await?;
    Ok(deployment.context("no Deployment")?["metadata"]["uid"].to_string())
}

async fn is_orphaned(cluster: &Cluster) -> Result<bool> {
    let status = cluster.add_on(ADD_ON).status().await?;
    Ok(status.conditions.iter().any(|it| it.type_ == "Orphaned" && it.status == "True"))
}
