//! From a Helm release to an add-on, and back, as docs/migration.md says: nothing is made anew and nothing restarts.

use std::path::Path;

use anyhow::{Result, ensure};
use kube::api::DeleteParams;
use serde_json::Value;
use testbed::bundle::{Bundle, READY, Spec};
use testbed::ocm::Fleet;
use testbed::{Helm, Progress};

use crate::bed::{Bed, ONE};
use crate::migration::{identity, living, until_removed};

/// The release, its chart, its namespace, and the add-on that it becomes.
const SHOP: &str = "shop";

pub async fn from_a_release_and_back(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("A Helm release is handed over to the agent");
    let helm = Helm::build(&bed.one.managed.plane).await?;
    let chart = helm.write_chart(SHOP, "1.0.0", &bundle("of the chart").yaml())?;
    install(&helm, &chart, &["--create-namespace"]).await?;
    let before = identity(&bed.one, SHOP).await?;
    progress.line("Helm has installed it on cluster one");
    let rendered = helm.run(&["get", "manifest", SHOP, "-n", SHOP]).await?;
    let adopting = Spec::text("1.0.0", &rendered).namespace(SHOP).policy("adopt", true);
    hand_over(bed, &adopting, "1.0.0").await?;
    ensure!(helms(bed).await? == 0, "Helm's marks are still there");
    forget(&helm, bed).await?;
    ensure!(identity(&bed.one, SHOP).await? == before, "something was made anew");
    progress.line(
        "the agent runs it, every object and pod is the one from before, and Helm has forgotten it",
    );
    let newer = Spec::inline("1.1.0", &bundle("of the add-on")).namespace(SHOP);
    hand_over(bed, &newer.policy("deletion", "Orphan"), "1.1.0").await?;
    ensure!(settings(bed).await? == "of the add-on", "1.1.0 changed nothing");
    progress.line("and upgrades it");

    progress.heading("And back");
    bed.hub.add_ons(ONE).delete(SHOP, &DeleteParams::default()).await?;
    bed.one.add_on(SHOP).until_gone().await?;
    ensure!(identity(&bed.one, SHOP).await? == before, "something went with the add-on");
    install(&helm, &chart, &["--take-ownership", "--force-conflicts"]).await?;
    ensure!(identity(&bed.one, SHOP).await? == before, "something was made anew");
    ensure!(settings(bed).await? == "of the chart", "Helm did not write its own");
    ensure!(helms(bed).await? == 2, "Helm's marks are not on all of it");
    progress.line("Helm keeps it again, and every object and pod is still the same");
    helm.run(&["uninstall", SHOP, "-n", SHOP]).await?;
    until_removed(&bed.one, SHOP).await?;
    progress.line("and uninstalls it");
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

/// How many of its objects have Helm's mark.
async fn helms(bed: &Bed) -> Result<usize> {
    let [_, settings, web] = living(&bed.one, SHOP).await?;
    let mark = "meta.helm.sh/release-name";
    let is_marked = |it: &&Value| !it["metadata"]["annotations"][mark].is_null();
    Ok([settings, web].iter().filter(is_marked).count())
}

/// As the page says, without `helm uninstall`.
async fn forget(helm: &Helm, bed: &Bed) -> Result<()> {
    let secrets = ["delete", "secret", "-n", SHOP, "-l", "owner=helm,name=shop"];
    bed.one.managed.plane.kubectl(&secrets).await?;
    let left = helm.run(&["list", "-n", SHOP, "--short"]).await?;
    ensure!(left.trim().is_empty(), "Helm knows {left}");
    Ok(())
}

async fn settings(bed: &Bed) -> Result<String> {
    let [_, settings, _] = living(&bed.one, SHOP).await?;
    Ok(settings["data"]["value"].as_str().unwrap_or_default().to_owned())
}
