//! The first assignments of the documentation, word for word.

use anyhow::{Context, Result, ensure};
use kube::api::DeleteParams;
use testbed::Telling;
use testbed::reader::{Reader, part};

use crate::bed::{Bed, TWO};

const HELLO: &str = "hello";

pub async fn as_the_pages_say(telling: &Telling, bed: &Bed) -> Result<()> {
    telling.chapter("The first assignments of the documentation, on cluster two");
    let (here, hub, add_on) = (&bed.two.managed.plane, &bed.hub.plane, bed.two.add_on(HELLO));
    let reader = Reader::new(here)?;
    let first = part("docs/managedaddon.md", "## A first add-on")?;
    let told = reader.types(here, first.block("sh")?).await?;
    ensure!(told.contains("Available"), "kubectl printed: {told}");
    telling.line("by hand: kubectl says that it is available");
    reader.types(here, "kubectl delete managedaddon hello").await?;
    add_on.until_gone().await?;

    let step = part("docs/install.md", "## An assignment from the hub")?;
    let told = reader.types(hub, &step.block("sh")?.replace("cluster1", TWO)).await?;
    ensure!(told.contains(r#""currentVersion":"1.0.0""#), "the hub's lease says: {told}");
    let greeting = add_on.object("v1", "ConfigMap", HELLO, "greeting").await?;
    ensure!(greeting.context("no greeting")?["data"]["region"] == "eu-1");
    telling.line("from the hub: its lease says that it is available");
    bed.hub.add_ons(TWO).delete(HELLO, &DeleteParams::default()).await.context("remove it")?;
    add_on.until_gone().await
}
