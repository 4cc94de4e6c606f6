//! An AddOnDeploymentConfig makes the agent fit a cluster: OCM writes it into the agent's Deployment.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testbed::Progress;
use testbed::wait::until;

use crate::bed::{Bed, ONE};
use crate::delivery::{self, NAMESPACE};
use crate::fleet::PATIENCE;

const GROUP: &str = "addon.open-cluster-management.io";

/// For the `configs` of the agent's `ManagedClusterAddOn` on cluster one.
pub fn reference() -> Value {
    json!({
        "group": GROUP, "resource": "addondeploymentconfigs", "namespace": ONE, "name": "edge",
    })
}

pub async fn by_a_deployment_config(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading(
        "The agent of cluster one gets resources, a node selector and an authority of its own",
    );
    let config = json!({
        "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "AddOnDeploymentConfig",
        "metadata": {"name": "edge", "namespace": ONE},
        "spec": {
            // OCM heeds a bundle of authorities only beside one of the other three.
            "proxyConfig": {
                "noProxy": "10.0.0.0/8", "caBundle": BASE64_STANDARD.encode(bed.files.ca_certificate()?),
            },
            "nodePlacement": {"nodeSelector": {"kubernetes.io/os": "linux"}},
            "resourceRequirements": [{
                "containerID": "deployments:addon-agent:agent",
                "resources": {"requests": {"cpu": "15m", "memory": "40Mi"}},
            }],
        },
    });
    bed.hub.plane.apply_yaml(&config.to_string()).await?;
    let patch = Patch::Merge(json!({"spec": {"configs": [reference()]}}));
    bed.hub.add_ons(ONE).patch(delivery::ADD_ON, &PatchParams::default(), &patch).await?;
    until("the agent to be as its config says", PATIENCE, || async {
        let deployment = deployment(bed).await?;
        let pod = &deployment["spec"]["template"]["spec"];
        let asked = &pod["containers"][0]["resources"]["requests"];
        let fits = pod["nodeSelector"]["kubernetes.io/os"] == "linux" && asked["memory"] == "40Mi";
        let status = &deployment["status"];
        let runs = status["observedGeneration"] == deployment["metadata"]["generation"]
            && status["updatedReplicas"] == 1
            && status["readyReplicas"] == 1;
        if fits && runs {
            Ok(Some(()))
        } else {
            bail!("{} {status}", json!([pod["nodeSelector"], asked]))
        }
    })
    .await?;
    progress.line("OCM has written all of it into its Deployment, and it is ready again");
    Ok(())
}

async fn deployment(bed: &Bed) -> Result<Value> {
    let agent = bed.one.add_on(delivery::ADD_ON);
    let found = agent.object("apps/v1", "Deployment", NAMESPACE, "addon-agent").await?;
    found.context("there is no Deployment of the agent")
}
