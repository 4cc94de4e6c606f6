//! The agent comes and goes under its add-ons: upgraded by OCM in the middle of a rollout, removed, and delivered anew.

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use lifecycle::{OperationResult, Phase};
use serde_json::{Value, json};
use testbed::ocm::Fleet;
use testbed::wait::until;

use crate::bed::{Bed, ONE, Site};
use crate::delivery;
use crate::fleet::{self, ADD_ON, PATIENCE, until_available};
use crate::images::NEWER_AGENT;
use crate::tailored;
use testbed::Progress;

const TEMPLATE: &str = "addon-lifecycle-0.1.0";
const NEWER_TEMPLATE: &str = "addon-lifecycle-0.1.1";

pub async fn upgraded(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("OCM upgrades the agent while the agent upgrades an add-on");
    newer_template(bed).await?;
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
    let patch = Patch::Merge(json!({"spec": {"configs": [config, tailored::reference()]}}));
    bed.hub.add_ons(ONE).patch(delivery::ADD_ON, &PatchParams::default(), &patch).await?;
    until_agent_is(&bed.one, NEWER_AGENT).await?;
    progress.line("the newer agent runs on cluster one");
    let status = until_available(&bed.one, "1.3.0").await?;
    let told = status.history.iter().filter(|entry| entry.version.as_deref() == Some("1.3.0"));
    let results: Vec<_> = told.map(|entry| entry.result).collect();
    ensure!(results == [OperationResult::Succeeded], "1.3.0 went {results:?}");
    progress.line("and the add-on's upgrade went through once, as if nothing had been");
    until_available(&bed.two, "1.3.0").await?;
    Ok(())
}

pub async fn removed(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("The agent is removed before its add-ons, and delivered anew");
    let before = identity(&bed.one).await?;
    bed.hub.add_ons(ONE).delete(delivery::ADD_ON, &DeleteParams::default()).await?;
    delivery::until_removed(bed, &bed.one).await?;
    ensure!(identity(&bed.one).await? == before, "something was lost with the agent");
    progress.line("it went without waiting for its add-ons, which run on");
    delivery::assign(bed, &bed.one).await?;
    delivery::until_available(bed, &bed.one).await?;
    until_available(&bed.one, "1.3.0").await?;
    ensure!(identity(&bed.one).await? == before, "the new agent made something anew");
    progress.line("a new agent has taken them over as they are");
    Ok(())
}

/// UIDs of the ManagedAddOn and of what it installed.
async fn identity(site: &Site) -> Result<Vec<Value>> {
    let add_on = site.add_on(ADD_ON);
    let managed =
        add_on.object("lifecycle.open-cluster-management.io/v1alpha1", "ManagedAddOn", "", ADD_ON);
    let deployment = add_on.object("apps/v1", "Deployment", ADD_ON, "collector");
    let settings = add_on.object("v1", "ConfigMap", ADD_ON, "settings");
    let all = [managed.await?, deployment.await?, settings.await?];
    all.into_iter()
        .map(|it| Ok(it.context("an object is missing")?["metadata"]["uid"].clone()))
        .collect()
}

/// The same template with the newer image.
async fn newer_template(bed: &Bed) -> Result<()> {
    let template = bed.hub.plane.kubectl(&["get", "addontemplate", TEMPLATE, "-o", "json"]).await?;
    let template: Value =
        serde_json::from_str(&template.replace(crate::images::AGENT, NEWER_AGENT))?;
    let newer = json!({
        "apiVersion": template["apiVersion"], "kind": template["kind"],
        "metadata": {"name": NEWER_TEMPLATE}, "spec": template["spec"],
    });
    bed.hub.plane.apply_yaml(&newer.to_string()).await
}

async fn until_agent_is(site: &Site, image: &str) -> Result<()> {
    until(&format!("the agent of cluster {} to be {image}", site.name), PATIENCE, || async {
        let pods = delivery::agents(site).await?;
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
