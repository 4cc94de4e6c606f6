//! The first assignments of the documentation, word for word.

use anyhow::{Context, Result, ensure};
use kube::api::DeleteParams;
use testbed::Progress;
use testbed::doc_runner::{DocRunner, section};

use crate::bed::{Bed, TWO};

const HELLO: &str = "hello";

/// The commands of the pages lead to an available add-on, by hand and from the hub.
pub async fn run_documentation(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("The first assignments of the documentation, on cluster two");
    let (cluster, hub, add_on) = (&bed.two.managed.plane, &bed.hub.plane, bed.two.add_on(HELLO));
    let runner = DocRunner::new(cluster)?;
    let first = section("docs/managedaddon.md", "## A first add-on")?;
    let output = runner.run(cluster, first.block("sh")?).await?;
    ensure!(output.contains("Available"), "kubectl printed: {output}");
    progress.line("by hand: kubectl shows that it is available");
    runner.run(cluster, "kubectl delete managedaddon hello").await?;
    add_on.until_gone().await?;

    let step = section("docs/install.md", "## An assignment from the hub")?;
    let output = runner.run(hub, &step.block("sh")?.replace("cluster1", TWO)).await?;
    ensure!(
        output.contains(r#""currentVersion":"1.0.0""#),
        "the status lease on the hub: {output}"
    );
    let greeting = add_on.object("v1", "ConfigMap", HELLO, "greeting").await?;
    ensure!(greeting.context("no greeting")?["data"]["region"] == "eu-1");
    progress.line("from the hub: the status lease shows that it is available");
    bed.hub
        .add_ons(TWO)
        .delete(HELLO, &DeleteParams::default())
        .await
        .context("delete its ManagedClusterAddOn")?;
    add_on.until_gone().await
}
