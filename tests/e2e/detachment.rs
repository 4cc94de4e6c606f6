//! A cluster leaves its hub and joins it again.

use anyhow::{Context, Result, bail, ensure};
use testbed::Progress;
use testbed::ocm::{Fleet, Klusterlet};
use testbed::wait::until;

use crate::bed::{Bed, ONE, WORK_FLAGS};
use crate::delivery;
use crate::fleet::{ADD_ON, PATIENCE, until_available};

pub async fn and_return(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("Cluster one is ordered to leave the hub while its klusterlet is away");
    bed.one.klusterlet.lock().await.kill();
    let add_on = bed.one.add_on(ADD_ON);
    bed.hub.detach(ONE).await?;
    until_ordered_away(bed).await?;
    ensure!(add_on.image(ADD_ON, "collector").await?.is_some(), "the add-on was uninstalled");
    progress.line("OCM waits for it, and the add-on runs on");
    bed.one.klusterlet.lock().await.start(&bed.one.managed.plane)?;
    bed.hub.until_detached(ONE).await?;
    progress.line("it is back, and OCM has let it go");
    add_on.until_gone().await?;
    ensure!(add_on.image(ADD_ON, "collector").await?.is_none(), "the add-on still runs");
    delivery::until_removed(bed, &bed.one).await?;
    progress.line("the add-on is uninstalled there, and the agent is gone");

    progress.heading("And joins it again");
    let mut klusterlet = bed.one.klusterlet.lock().await;
    klusterlet.leave(&bed.one.managed.plane).await?;
    bed.hub.delete_requests(ONE).await?;
    *klusterlet = Klusterlet::join(&bed.one.managed.plane, &bed.hub, ONE, &WORK_FLAGS).await?;
    drop(klusterlet);
    delivery::assign(bed, &bed.one).await?;
    delivery::until_available(bed, &bed.one).await?;
    progress.line("the agent is back");
    until_available(&bed.one, "1.3.0").await?;
    Fleet::new(&bed.hub, ADD_ON).until_completed(ONE, "1.3.0", PATIENCE).await?;
    progress.line("and so is the add-on, as the fleet's placement says");
    Ok(())
}

/// The add-on's `ManifestWork` goes away, for which the klusterlet is needed.
async fn until_ordered_away(bed: &Bed) -> Result<()> {
    let works = bed.hub.works(ONE);
    until("OCM to remove the add-on from cluster one", PATIENCE, || async {
        let work = works.get_opt(&format!("addon-{ADD_ON}-deploy-0")).await?;
        match work.context("its ManifestWork is gone already")?.metadata.deletion_timestamp {
            Some(_) => Ok(Some(())),
            None => bail!("its ManifestWork stays"),
        }
    })
    .await
}
