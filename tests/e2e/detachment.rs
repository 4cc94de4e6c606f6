//! A cluster leaves its hub and joins it again.

use anyhow::{Context, Result, bail, ensure};
use testbed::Progress;
use testbed::ocm::{Fleet, Klusterlet};
use testbed::wait::until;

use crate::bed::{Bed, ONE, WORK_FLAGS};
use crate::delivery;
use crate::fleet::{ADD_ON, TIMEOUT, until_available};

/// A detached cluster loses add-on and agent, also if it was offline, and gets both back when it joins again.
pub async fn detach_and_rejoin(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("Cluster one is detached from the hub while its klusterlet is stopped");
    bed.one.klusterlet.lock().await.kill();
    let add_on = bed.one.add_on(ADD_ON);
    bed.hub.detach(ONE).await?;
    until_work_deleted(bed).await?;
    ensure!(add_on.image(ADD_ON, "collector").await?.is_some(), "the add-on was uninstalled");
    progress.line("OCM waits for the cluster, and the add-on still runs");
    bed.one.klusterlet.lock().await.start(&bed.one.managed.plane)?;
    bed.hub.until_detached(ONE).await?;
    progress.line("the klusterlet is back, and OCM has detached the cluster");
    add_on.until_gone().await?;
    ensure!(add_on.image(ADD_ON, "collector").await?.is_none(), "the add-on still runs");
    delivery::until_agent_removed(bed, &bed.one).await?;
    progress.line("the add-on is uninstalled, and the agent is removed");

    progress.heading("Cluster one joins the hub again");
    let mut klusterlet = bed.one.klusterlet.lock().await;
    klusterlet.leave(&bed.one.managed.plane).await?;
    bed.hub.delete_requests(ONE).await?;
    *klusterlet = Klusterlet::join(&bed.one.managed.plane, &bed.hub, ONE, &WORK_FLAGS).await?;
    drop(klusterlet);
    delivery::assign_agent(bed, &bed.one).await?;
    delivery::until_agent_available(bed, &bed.one).await?;
    progress.line("the agent is delivered again");
    until_available(&bed.one, "1.3.0").await?;
    Fleet::new(&bed.hub, ADD_ON).until_completed(ONE, "1.3.0", TIMEOUT).await?;
    progress.line("the add-on is installed again, as the fleet's placement demands");
    Ok(())
}

/// Waits until the add-on's `ManifestWork` is being deleted. Only the klusterlet can complete that.
async fn until_work_deleted(bed: &Bed) -> Result<()> {
    let works = bed.hub.works(ONE);
    until("OCM to remove the add-on from cluster one", TIMEOUT, || async {
        let work = works.get_opt(&format!("addon-{ADD_ON}-deploy-0")).await?;
        match work.context("its ManifestWork is gone already")?.metadata.deletion_timestamp {
            Some(_) => Ok(Some(())),
            None => bail!("its ManifestWork is not being deleted"),
        }
    })
    .await
}
