//! The agent is replaced while its add-ons run: OCM upgrades it in the middle of a rollout, removes it and delivers it again.

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use lifecycle::{OperationResult, Phase};
use serde_json::{Value, json};
use testbed::ocm::Fleet;
use testbed::wait::until;

use crate::bed::{Bed, Cluster, ONE};
use crate::delivery;
use crate::deployment_config;
use crate::fleet::{self, ADD_ON, TIMEOUT, until_available};
use crate::images::NEWER_AGENT;
use testbed::Progress;

const TEMPLATE: &str = "addon-lifecycle-0.1.0";
const NEWER_TEMPLATE: &str = "addon-lifecycle-0.1.1";

/// An upgrade of the agent does not disturb an upgrade of an add-on.
pub async fn upgrade_agent(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("OCM upgrades the agent while the agent upgrades an add-on");
    apply_newer_template(bed).await?;
    let fleet = Fleet::new(&bed.hub, ADD_ON);
    fleet
        .template(
            &fleet::spec("1.3.0", testbed::bundle::READY)
                .policy("soak", "15s")
                .policy("timeout", "120s"),
        )
        .await?;
    fleet.roll_out("1.3.0", &fleet::strategy()).await?;
    let add_on = bed.one.add_on(ADD_ON);
    add_on
        .until("to verify 1.3.0", |status| {
            status.desired_version.as_deref() == Some("1.3.0")
                && status.phase == Some(Phase::Verifying)
        })
        .await?;
    let config = json!({
        "group": "addon.open-cluster-management.io", "resource": "addontemplates", "name": NEWER_TEMPLATE,
    });
    let patch =
        Patch::Merge(json!({"spec": {"configs": [config, deployment_config::reference()]}}));
    bed.hub.add_ons(ONE).patch(delivery::ADD_ON, &PatchParams::default(), &patch).await?;
    until_agent_runs(&bed.one, NEWER_AGENT).await?;
    progress.line("the newer agent runs on cluster one");
    let status = until_available(&bed.one, "1.3.0").await?;
    let operations =
        status.history.iter().filter(|entry| entry.version.as_deref() == Some("1.3.0"));
    let results: Vec<_> = operations.map(|entry| entry.result).collect();
    ensure!(
        results == [OperationResult::Succeeded],
        "results of the operations to 1.3.0: {results:?}"
    );
    progress.line("the add-on's upgrade succeeded in one operation");
    until_available(&bed.two, "1.3.0").await?;
    Ok(())
}

/// A removal of the agent loses nothing, and a new agent continues with what is there.
pub async fn remove_and_redeliver_agent(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("The agent is removed before its add-ons, and delivered again");
    let before = uids(&bed.one).await?;
    bed.hub.add_ons(ONE).delete(delivery::ADD_ON, &DeleteParams::default()).await?;
    delivery::until_agent_removed(bed, &bed.one).await?;
    ensure!(uids(&bed.one).await? == before, "an object was lost or recreated with the agent");
    progress.line("the agent is removed without waiting for its add-ons, which still run");
    delivery::assign_agent(bed, &bed.one).await?;
    delivery::until_agent_available(bed, &bed.one).await?;
    until_available(&bed.one, "1.3.0").await?;
    ensure!(uids(&bed.one).await? == before, "the new agent recreated an object");
    progress.line("a new agent continues with the same objects");
    Ok(())
}

/// Returns the UIDs of the `ManagedAddOn` and of the objects that it installed.
async fn uids(cluster: &Cluster) -> Result<Vec<Value>> {
    let add_on = cluster.add_on(ADD_ON);
    let managed =
        add_on.object("lifecycle.open-cluster-management.io/v1alpha1", "ManagedAddOn", "", ADD_ON);
    let deployment = add_on.object("apps/v1", "Deployment", ADD_ON, "collector");
    let settings = add_on.object("v1", "ConfigMap", ADD_ON, "settings");
    let all = [managed.await?, deployment.await?, settings.await?];
    all.into_iter()
        .map(|it| Ok(it.context("an object is missing")?["metadata"]["uid"].clone()))
        .collect()
}

/// Applies the same template with the newer image.
async fn apply_newer_template(bed: &Bed) -> Result<()> {
    let template = bed.hub.plane.kubectl(&["get", "addontemplate", TEMPLATE, "-o", "json"]).await?;
    let template: Value =
        serde_json::from_str(&template.replace(crate::images::AGENT, NEWER_AGENT))?;
    let newer = json!({
        "apiVersion": template["apiVersion"], "kind": template["kind"],
        "metadata": {"name": NEWER_TEMPLATE}, "spec": template["spec"],
    });
    bed.hub.plane.apply_yaml(&newer.to_string()).await
}

async fn until_agent_runs(cluster: &Cluster, image: &str) -> Result<()> {
    until(&format!("the agent of cluster {} to run {image}", cluster.name), TIMEOUT, || async {
        let pods = delivery::agent_pods(cluster).await?;
        let images: Vec<_> = pods.iter().map(image_and_readiness).collect();
        if images == [(Some(image.to_owned()), true)] {
            return Ok(Some(()));
        }
        bail!("{images:?}")
    })
    .await
}

fn image_and_readiness(pod: &Pod) -> (Option<String>, bool) {
    let image = pod.spec.as_ref().and_then(|spec| spec.containers.first()?.image.clone());
    let conditions =
        pod.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let ready = conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True");
    (image, ready)
}
