//! Assignments to a single cluster next to a fleet: one cluster pinned to a version, and an add-on without a
//! `ClusterManagementAddOn` on one cluster.

use anyhow::{Result, bail, ensure};
use kube::api::DeleteParams;
use serde_json::Value;
use testbed::bundle::{Bundle, READY, Spec};
use testbed::file_server::{Behavior, FileServer};
use testbed::ocm::Fleet;
use testbed::wait::until;

use crate::bed::{Bed, ONE, TWO};
use crate::fleet::{self, TIMEOUT, until_available};
use testbed::Progress;

const NOTES: &str = "notes";
const PATH: &str = "/notes.yaml";

/// A pinned cluster runs the pinned version until it is unpinned.
pub async fn pin_one_cluster(progress: &Progress, bed: &Bed) -> Result<()> {
    progress
        .heading("One cluster of the fleet is pinned to an earlier version, and unpinned again");
    let fleet = Fleet::new(&bed.hub, fleet::ADD_ON);
    fleet.pin(TWO, Some("1.0.0")).await?;
    until_available(&bed.two, "1.0.0").await?;
    let one = bed.one.add_on(fleet::ADD_ON).status().await?;
    ensure!(one.current_version.as_deref() == Some("1.1.0"), "status on cluster one: {one:?}");
    progress.line("cluster two runs 1.0.0, cluster one still 1.1.0");
    fleet.pin(TWO, None).await?;
    until_available(&bed.two, "1.1.0").await?;
    progress.line("cluster two is back at 1.1.0");
    Ok(())
}

/// A stand-alone add-on is installed, upgraded and uninstalled.
pub async fn assign_stand_alone(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("A stand-alone add-on, which has no ClusterManagementAddOn");
    let fleet = Fleet::new(&bed.hub, NOTES);
    fleet.template(&inline("1.0.0")).await?;
    fleet.template(&served("1.1.0", &bed.files)).await?;
    for version in ["1.0.0", "1.1.0"] {
        fleet.assign_stand_alone(ONE, version).await?;
        bed.one.add_on(NOTES).until_available(version).await?;
        until_reported(bed, version).await?;
        progress.line(&format!("cluster one runs {NOTES} {version}, and the hub shows it"));
    }
    let requests = bed.files.ranges(PATH);
    ensure!(requests.len() == 1, "requests for the bundle: {requests:?}");
    progress.line(
        "1.1.0 was pulled once, over https, from a server whose certificate authority the hub configured",
    );
    bed.hub.add_ons(ONE).delete(NOTES, &DeleteParams::default()).await?;
    bed.one.add_on(NOTES).until_gone().await?;
    progress.line("its ManagedClusterAddOn is deleted, and it is uninstalled");
    Ok(())
}

async fn until_reported(bed: &Bed, version: &str) -> Result<()> {
    let kind = "lifecycle.open-cluster-management.io/CurrentVersion";
    until(&format!("the hub to show that {NOTES} runs {version}"), TIMEOUT, || async {
        let add_on = bed.hub.add_on(ONE, NOTES).await?.unwrap_or_default();
        let conditions = add_on["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let current = conditions.iter().find(|condition| condition["type"] == kind);
        match current.map(|condition| &condition["message"]) {
            Some(Value::String(current)) if current == version => Ok(Some(())),
            other => bail!("{other:?}"),
        }
    })
    .await
}

fn inline(version: &str) -> Spec {
    Spec::inline(version, &bundle(version)).namespace(NOTES)
}

fn served(version: &str, files: &FileServer) -> Spec {
    let yaml = bundle(version).yaml();
    let url = files.serve(PATH, yaml.as_bytes(), Behavior::Normal);
    Spec::http(version, &url, yaml.as_bytes()).namespace(NOTES)
}

fn bundle(version: &str) -> Bundle {
    Bundle::new().namespace(NOTES).config("notes", version).deployment("notes", READY)
}
