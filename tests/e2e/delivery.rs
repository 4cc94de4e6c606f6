//! OCM delivers the agent: `manifests/hub` on the hub, a `ManagedClusterAddOn` for each cluster, without manual steps.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, LogParams};
use testbed::doc_runner::{DocRunner, section};
use testbed::wait::until;

use crate::bed::{Bed, Cluster};
use testbed::Progress;

/// Name of the agent as an OCM add-on.
pub const ADD_ON: &str = "addon-lifecycle";
/// The Secret with the agent's kubeconfig for the hub.
pub const SECRET: &str = "addon-lifecycle-hub-kubeconfig";
/// Namespace of the agent.
pub const NAMESPACE: &str = "open-cluster-management-agent-addon";

/// Longest time for OCM to deliver or remove the agent.
pub const TIMEOUT: Duration = Duration::from_secs(180);

/// The agent runs on both clusters and writes its heartbeat to the hub.
pub async fn deliver_agent(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("OCM delivers the agent");
    for cluster in [&bed.one, &bed.two] {
        assign_agent(bed, cluster).await?;
    }
    bed.start_agent_process().await?;
    progress.line("on cluster two the agent runs as a process, with the hub identity from OCM");
    until_agent_available(bed, &bed.one).await?;
    progress.line("on cluster one the agent runs as a pod on the real node");
    until_heartbeat(bed, &bed.one).await?;
    until_heartbeat(bed, &bed.two).await?;
    progress.line("the hub has the heartbeat of both agents");
    Ok(())
}

/// Runs the installation with OCM word for word: prepares the hub, assigns the agent to a cluster, and grants rights to
/// add-ons there.
pub async fn assign_agent(bed: &Bed, cluster: &Cluster) -> Result<()> {
    let step = section("docs/install.md", "## With OCM")?;
    let runner = DocRunner::new(&bed.hub.plane)?;
    runner.write("manifests/hub-edge/kustomization.yaml", step.block("yaml")?)?;
    runner.run(&bed.hub.plane, &step.block("sh")?.replace("cluster1", cluster.name)).await?;
    let rights = section("docs/install.md", "## Rights of add-ons")?;
    let plane = &cluster.managed.plane;
    plane
        .kubectl(&["delete", "clusterrolebinding", "addon-installer", "--ignore-not-found"])
        .await?;
    DocRunner::new(plane)?.run(plane, rights.block("sh")?).await.map(drop)
}

/// Waits for OCM's own condition `Available` on the agent's add-on.
pub async fn until_agent_available(bed: &Bed, cluster: &Cluster) -> Result<()> {
    until(&format!("the agent to be available on {}", cluster.name), TIMEOUT, || async {
        let add_on =
            bed.hub.add_on(cluster.name, ADD_ON).await?.context("no ManagedClusterAddOn")?;
        let conditions = add_on["status"]["conditions"].as_array().cloned().unwrap_or_default();
        match conditions.iter().find(|condition| condition["type"] == "Available") {
            Some(available) if available["status"] == "True" => Ok(Some(())),
            other => bail!("{other:?}"),
        }
    })
    .await
}

/// Waits for the agent's heartbeat, which it writes with its own rights on the hub.
async fn until_heartbeat(bed: &Bed, cluster: &Cluster) -> Result<()> {
    until(&format!("the heartbeat of the agent on {}", cluster.name), TIMEOUT, || async {
        let lease = ["get", "lease", "addon-lifecycle-agent", "-n", cluster.name, "-o", "name"];
        bed.hub.plane.kubectl(&lease).await.map(|_| Some(()))
    })
    .await
}

/// Waits until OCM has removed the agent from the hub and from the cluster.
pub async fn until_agent_removed(bed: &Bed, cluster: &Cluster) -> Result<()> {
    until(&format!("OCM to have removed the agent from {}", cluster.name), TIMEOUT, || async {
        let add_on = bed.hub.add_on(cluster.name, ADD_ON).await?;
        let pods = agent_pods(cluster).await?.len();
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

/// Returns the agent's pods.
pub async fn agent_pods(cluster: &Cluster) -> Result<Vec<Pod>> {
    let params = ListParams::default().labels("app.kubernetes.io/name=addon-agent");
    Ok(pods(cluster).list(&params).await?.items)
}

/// Returns the last lines of the agent's log on the real node, read through API server and kubelet.
pub async fn agent_log(cluster: &Cluster) -> Result<String> {
    let agents = agent_pods(cluster).await?;
    ensure!(!agents.is_empty(), "there is no pod of the agent on {}", cluster.name);
    let name = agents[0].metadata.name.as_deref().unwrap_or_default();
    let params = LogParams { tail_lines: Some(60), ..LogParams::default() };
    Ok(format!("--- {name}, last lines of its log\n{}", pods(cluster).logs(name, &params).await?))
}

fn pods(cluster: &Cluster) -> Api<Pod> {
    Api::namespaced(cluster.managed.plane.admin(), NAMESPACE)
}
