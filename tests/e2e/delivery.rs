//! OCM delivers the agent: `manifests/hub` on the hub, a `ManagedClusterAddOn` for each cluster, and nothing by hand.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, LogParams};
use testbed::doc_runner::{DocRunner, section};
use testbed::wait::until;

use crate::bed::{Bed, Site};
use testbed::Progress;

pub const ADD_ON: &str = "addon-lifecycle";
pub const SECRET: &str = "addon-lifecycle-hub-kubeconfig";
pub const NAMESPACE: &str = "open-cluster-management-agent-addon";

pub const PATIENCE: Duration = Duration::from_secs(180);

pub async fn by_ocm(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("OCM delivers the agent");
    for site in [&bed.one, &bed.two] {
        assign(bed, site).await?;
    }
    bed.start_process().await?;
    progress.line("on cluster two the agent runs beside the node that kwok plays, with the identity OCM gave it");
    until_available(bed, &bed.one).await?;
    progress.line("on cluster one it runs as a pod on the real node");
    until_heard(bed, &bed.one).await?;
    until_heard(bed, &bed.two).await?;
    progress.line("both have been heard of on the hub");
    Ok(())
}

/// The installation with OCM, word for word: the hub gets what it needs and assigns the agent, the cluster grants add-ons
/// their rights.
pub async fn assign(bed: &Bed, site: &Site) -> Result<()> {
    let step = section("docs/install.md", "## With OCM")?;
    let runner = DocRunner::new(&bed.hub.plane)?;
    runner.write("manifests/hub-edge/kustomization.yaml", step.block("yaml")?)?;
    runner.run(&bed.hub.plane, &step.block("sh")?.replace("cluster1", site.name)).await?;
    let rights = section("docs/install.md", "## Rights of add-ons")?;
    let plane = &site.managed.plane;
    plane
        .kubectl(&["delete", "clusterrolebinding", "addon-installer", "--ignore-not-found"])
        .await?;
    DocRunner::new(plane)?.run(plane, rights.block("sh")?).await.map(drop)
}

/// By OCM's own condition on the agent's add-on.
pub async fn until_available(bed: &Bed, site: &Site) -> Result<()> {
    until(&format!("the agent to be available on {}", site.name), PATIENCE, || async {
        let add_on = bed.hub.add_on(site.name, ADD_ON).await?.context("no ManagedClusterAddOn")?;
        let conditions = add_on["status"]["conditions"].as_array().cloned().unwrap_or_default();
        match conditions.iter().find(|condition| condition["type"] == "Available") {
            Some(available) if available["status"] == "True" => Ok(Some(())),
            other => bail!("{other:?}"),
        }
    })
    .await
}

/// The agent's heartbeat, which it writes with its own rights on the hub.
async fn until_heard(bed: &Bed, site: &Site) -> Result<()> {
    until(&format!("the hub to hear of the agent on {}", site.name), PATIENCE, || async {
        let lease = ["get", "lease", "addon-lifecycle-agent", "-n", site.name, "-o", "name"];
        bed.hub.plane.kubectl(&lease).await.map(|_| Some(()))
    })
    .await
}

/// From the hub and from the cluster.
pub async fn until_removed(bed: &Bed, site: &Site) -> Result<()> {
    until(&format!("OCM to have removed the agent from {}", site.name), PATIENCE, || async {
        let add_on = bed.hub.add_on(site.name, ADD_ON).await?;
        let pods = agents(site).await?.len();
        if add_on.is_none() && pods == 0 {
            return Ok(Some(()));
        }
        bail!(
            "{pods} pods; {}",
            add_on.map(|it| it["status"]["conditions"].to_string()).unwrap_or_default()
        )
    })
    .await
}

/// The agent's pods.
pub async fn agents(site: &Site) -> Result<Vec<Pod>> {
    let label = ListParams::default().labels("app.kubernetes.io/name=addon-agent");
    Ok(pods(site).list(&label).await?.items)
}

/// Of the pod on the real node, through API server and kubelet.
pub async fn agent_log(site: &Site) -> Result<String> {
    let agents = agents(site).await?;
    ensure!(!agents.is_empty(), "there is no pod of the agent on {}", site.name);
    let name = agents[0].metadata.name.as_deref().unwrap_or_default();
    let params = LogParams { tail_lines: Some(60), ..LogParams::default() };
    Ok(format!("--- {name}, last lines of its log\n{}", pods(site).logs(name, &params).await?))
}

fn pods(site: &Site) -> Api<Pod> {
    Api::namespaced(site.managed.plane.admin(), NAMESPACE)
}
