//! The first assignments of the documentation, word for word.

use anyhow::{Context, Result, ensure};
use kube::api::DeleteParams;
use testbed::Progress;
use testbed::doc_runner::{DocRunner, section};

use crate::bed::{Bed, TWO};

const HELLO: &str = "hello";

pub async fn as_the_pages_say(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("The first assignments of the documentation, on cluster two");
    let (here, hub, add_on) = (&bed.two.managed.plane, &bed.hub.plane, bed.two.add_on(HELLO));
    let runner = DocRunner::new(here)?;
    let first = section("docs/managedaddon.md", "## A first add-on")?;
    let told = runner.run(here, first.block("sh")?).await?;
    ensure!(told.contains("Available"), "kubectl printed: {told}");
    progress.line("by hand: kubectl says that it is available");
    runner.run(here, "kubectl delete managedaddon hello").await?;
    add_on.until_gone().await?;

    let step = section("docs/install.md", "## An assignment from the hub")?;
    let told = runner.run(hub, &step.block("sh")?.replace("cluster1", TWO)).await?;
    ensure!(told.contains(r#""currentVersion":"1.0.0""#), "the hub's lease says: {told}");
    let greeting = add_on.object("v1", "ConfigMap", HELLO, "greeting").await?;
    ensure!(greeting.context("no greeting")?["data"]["region"] == "eu-1");
    progress.line("from the hub: its lease says that it is available");
    bed.hub.add_ons(TWO).delete(HELLO, &DeleteParams::default()).await.context("remove it")?;
    add_on.until_gone().await
}
