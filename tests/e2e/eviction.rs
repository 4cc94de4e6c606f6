//! A hub that was restored from an old backup knows nothing of an add-on: the klusterlet removes what it brought, and the
//! agent lets nothing go that nobody ordered.

use anyhow::{Context, Result, bail, ensure};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::json;
use testbed::Progress;
use testbed::ocm::Fleet;
use testbed::wait::until;

use crate::bed::{Bed, Site, TWO};
use crate::fleet::{ADD_ON, PATIENCE};

const VERSION: &str = "1.1.0";

pub async fn leaves_everything(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("The hub forgets the add-on of cluster two, as one does that is restored from an old backup");
    let (before, owned) = (deployment(&bed.two).await?, managed(&bed.two).await?);
    bed.hub.kill_controllers();
    bed.two.klusterlet.lock().await.kill();
    forget(&bed.hub.works(TWO), &format!("addon-{ADD_ON}-deploy-0")).await?;
    forget(&bed.hub.add_ons(TWO), ADD_ON).await?;
    bed.two.klusterlet.lock().await.start(&bed.two.managed.plane)?;
    until("the klusterlet to have evicted it", PATIENCE, || async {
        let now = managed(&bed.two).await?;
        if now != owned && is_orphaned(&bed.two).await? { Ok(Some(())) } else { bail!("{now:?}") }
    })
    .await?;
    ensure!(deployment(&bed.two).await? == before, "what was installed was touched");
    progress.line("the klusterlet has removed its ManagedAddOn; everything runs on, Orphaned");

    bed.hub.start_controllers()?;
    Fleet::new(&bed.hub, ADD_ON).until_completed(TWO, VERSION, PATIENCE).await?;
    until("it to be the fleet's again", PATIENCE, || async {
        Ok((!is_orphaned(&bed.two).await?).then_some(()))
    })
    .await?;
    ensure!(deployment(&bed.two).await? == before, "what was installed was touched");
    progress.line("the hub placed it again, and it is the fleet's as before");
    Ok(())
}

/// As OCM 1.0 does, too, when it cannot ask for the kind (its list of resources is lost for a moment).
pub async fn is_no_deletion_on_the_cluster(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading(
        "Somebody deletes the ManagedAddOn on cluster two; on the hub it is still assigned",
    );
    let (before, owned) = (deployment(&bed.two).await?, managed(&bed.two).await?);
    bed.two.add_on(ADD_ON).delete().await?;
    until("it to be made anew", PATIENCE, || async {
        let now = managed(&bed.two).await?;
        if now.is_some() && now != owned { Ok(Some(())) } else { bail!("{now:?}") }
    })
    .await?;
    // It looks at what is there every five minutes, and when it starts.
    let mut klusterlet = bed.two.klusterlet.lock().await;
    klusterlet.kill();
    klusterlet.start(&bed.two.managed.plane)?;
    until("it to be the fleet's again", PATIENCE, || async {
        let add_on = bed.two.add_on(ADD_ON).get().await?.context("no ManagedAddOn")?;
        Ok(add_on.metadata.owner_references.map(|_| ()))
    })
    .await?;
    ensure!(deployment(&bed.two).await? == before, "what was installed was touched");
    progress.line("nothing was uninstalled, and the klusterlet has taken it back");
    Ok(())
}

/// At once, so that whoever waits for a finalizer sees nothing.
async fn forget(api: &Api<DynamicObject>, name: &str) -> Result<()> {
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch(name, &PatchParams::default(), &free).await?;
    api.delete(name, &DeleteParams::default()).await?;
    Ok(())
}

async fn managed(site: &Site) -> Result<Option<String>> {
    Ok(site.add_on(ADD_ON).get().await?.and_then(|it| it.metadata.uid))
}

async fn deployment(site: &Site) -> Result<String> {
    let found = site.add_on(ADD_ON).object("apps/v1", "Deployment", ADD_ON, "collector").await?;
    Ok(found.context("no Deployment")?["metadata"]["uid"].to_string())
}

async fn is_orphaned(site: &Site) -> Result<bool> {
    let status = site.add_on(ADD_ON).status().await?;
    Ok(status.conditions.iter().any(|it| it.type_ == "Orphaned" && it.status == "True"))
}
