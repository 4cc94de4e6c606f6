//! Removal of the add-on from the whole fleet, also from a cluster that is offline at that time.

use anyhow::{Result, ensure};
use testbed::ocm::Fleet;
use testbed::wait::until;

use crate::bed::Bed;
use crate::fleet::{ADD_ON, TIMEOUT};
use testbed::Progress;

/// Every cluster uninstalls the add-on; an offline one does so when it is back.
pub async fn remove_from_fleet(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("The add-on is removed from the fleet while cluster two is offline");
    bed.two.klusterlet.lock().await.kill();
    let fleet = Fleet::new(&bed.hub, ADD_ON);
    fleet.remove().await?;
    bed.one.add_on(ADD_ON).until_gone().await?;
    let one = bed.one.add_on(ADD_ON);
    // A kubelet gives pods half a minute to exit. During that time they are in the namespace without an owner.
    let namespace = one.object("v1", "Namespace", "", ADD_ON).await?;
    ensure!(image(one).await?.is_none(), "it still runs on cluster one");
    ensure!(namespace.is_none(), "its namespace was not removed from cluster one");
    progress.line("it is uninstalled on cluster one, with its namespace");
    until("OCM to delete the ManagedClusterAddOn of cluster two", TIMEOUT, || async {
        Ok(bed.hub.add_on(bed.two.name, ADD_ON).await?.is_none().then_some(()))
    })
    .await?;
    ensure!(
        image(bed.two.add_on(ADD_ON)).await?.is_some(),
        "it was uninstalled on cluster two, which is offline"
    );
    progress.line("it still runs on cluster two");
    bed.two.klusterlet.lock().await.start(&bed.two.managed.plane)?;
    bed.two.add_on(ADD_ON).until_gone().await?;
    ensure!(image(bed.two.add_on(ADD_ON)).await?.is_none(), "it still runs on cluster two");
    progress.line("cluster two is back, and it is uninstalled there too");
    Ok(())
}

async fn image(add_on: testbed::AddOn) -> Result<Option<String>> {
    add_on.image(ADD_ON, "collector").await
}
