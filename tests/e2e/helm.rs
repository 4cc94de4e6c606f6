//! From a Helm release to an add-on and back, as in docs/migration.md: nothing is recreated and nothing restarts.

use std::path::Path;

use anyhow::{Result, ensure};
use kube::api::DeleteParams;
use serde_json::Value;
use testbed::bundle::{Bundle, READY, Spec};
use testbed::ocm::Fleet;
use testbed::{Helm, Progress};

use crate::bed::{Bed, ONE};
use crate::migration::{objects, uids, until_removed};

/// The release, its chart, its namespace, and the add-on that it becomes.
const SHOP: &str = "shop";

/// Objects and pods keep their UIDs on the way to an add-on and back.
pub async fn migrate_release_and_back(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("A Helm release is handed over to the agent");
    let helm = Helm::build(&bed.one.managed.plane).await?;
    let chart = helm.write_chart(SHOP, "1.0.0", &bundle("of the chart").yaml())?;
    install(&helm, &chart, &["--create-namespace"]).await?;
    let before = uids(&bed.one, SHOP).await?;
    progress.line("Helm has installed it on cluster one");
    let rendered = helm.run(&["get", "manifest", SHOP, "-n", SHOP]).await?;
    let adopting = Spec::text("1.0.0", &rendered).namespace(SHOP).policy("adopt", true);
    hand_over(bed, &adopting, "1.0.0").await?;
    ensure!(helm_owned(bed).await? == 2, "the adoption took more than the bundle sets");
    delete_release(&helm, bed).await?;
    ensure!(uids(&bed.one, SHOP).await? == before, "an object was recreated");
    progress.line(
        "the agent runs it with the same objects and pods, and Helm does not know it any more",
    );
    let newer = Spec::inline("1.1.0", &bundle("of the add-on")).namespace(SHOP);
    hand_over(bed, &newer.policy("deletion", "Orphan"), "1.1.0").await?;
    ensure!(settings(bed).await? == "of the add-on", "1.1.0 changed nothing");
    progress.line("the agent upgrades it");

    progress.heading("The add-on is handed back to Helm");
    bed.hub.add_ons(ONE).delete(SHOP, &DeleteParams::default()).await?;
    bed.one.add_on(SHOP).until_gone().await?;
    ensure!(uids(&bed.one, SHOP).await? == before, "an object was removed with the add-on");
    install(&helm, &chart, &["--take-ownership", "--force-conflicts"]).await?;
    ensure!(uids(&bed.one, SHOP).await? == before, "an object was recreated");
    ensure!(settings(bed).await? == "of the chart", "Helm did not write its own value");
    ensure!(helm_owned(bed).await? == 2, "not every object has Helm's annotation");
    progress.line("Helm owns it again, with the same objects and pods");
    helm.run(&["uninstall", SHOP, "-n", SHOP]).await?;
    until_removed(&bed.one, SHOP).await?;
    progress.line("Helm uninstalls it");
    Ok(())
}

fn bundle(settings: &str) -> Bundle {
    Bundle::new().config("settings", settings).deployment("web", READY)
}

async fn install(helm: &Helm, chart: &Path, flags: &[&str]) -> Result<()> {
    let chart = chart.to_string_lossy();
    let install = ["upgrade", "--install", SHOP, &chart, "-n", SHOP, "--wait"];
    helm.run(&[&install[..], flags].concat()).await?;
    Ok(())
}

async fn hand_over(bed: &Bed, spec: &Spec, version: &str) -> Result<()> {
    let fleet = Fleet::new(&bed.hub, SHOP);
    fleet.template(spec).await?;
    fleet.assign_stand_alone(ONE, version).await?;
    bed.one.add_on(SHOP).until_available(version).await?;
    Ok(())
}

/// Returns the number of its objects that have Helm's annotation.
async fn helm_owned(bed: &Bed) -> Result<usize> {
    let [_, settings, web] = objects(&bed.one, SHOP).await?;
    let annotation = "meta.helm.sh/release-name";
    let is_marked = |it: &&Value| !it["metadata"]["annotations"][annotation].is_null();
    Ok([settings, web].iter().filter(is_marked).count())
}

/// Deletes Helm's record of the release, as the page says, instead of `helm uninstall`.
async fn delete_release(helm: &Helm, bed: &Bed) -> Result<()> {
    let secrets = ["delete", "secret", "-n", SHOP, "-l", "owner=helm,name=shop"];
    bed.one.managed.plane.kubectl(&secrets).await?;
    let releases = helm.run(&["list", "-n", SHOP, "--short"]).await?;
    ensure!(releases.trim().is_empty(), "Helm still lists {releases}");
    Ok(())
}

async fn settings(bed: &Bed) -> Result<String> {
    let [_, settings, _] = objects(&bed.one, SHOP).await?;
    Ok(settings["data"]["value"].as_str().unwrap_or_default().to_owned())
}
