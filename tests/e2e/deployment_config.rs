//! An `AddOnDeploymentConfig` adapts the agent to a cluster: OCM writes it into the agent's Deployment.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testbed::Progress;
use testbed::wait::until;

use crate::bed::{Bed, ONE};
use crate::delivery::{self, NAMESPACE};
use crate::fleet::TIMEOUT;

const GROUP: &str = "addon.open-cluster-management.io";

/// Returns the reference to the config, for the agent's `ManagedClusterAddOn` on cluster one.
pub fn reference() -> Value {
    json!({
        "group": GROUP, "resource": "addondeploymentconfigs", "namespace": ONE, "name": "edge",
    })
}

/// The agent gets resources, a node selector and a certificate authority from the config.
pub async fn configure_agent(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading(
        "The agent of cluster one gets resources, a node selector and a certificate authority",
    );
    let config = json!({
        "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "AddOnDeploymentConfig",
        "metadata": {"name": "edge", "namespace": ONE},
        "spec": {
            // OCM ignores `caBundle` unless one of the other three fields is set.
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
    until("the agent's Deployment to match its config", TIMEOUT, || async {
        let deployment = deployment(bed).await?;
        let pod = &deployment["spec"]["template"]["spec"];
        let requests = &pod["containers"][0]["resources"]["requests"];
        let is_configured =
            pod["nodeSelector"]["kubernetes.io/os"] == "linux" && requests["memory"] == "40Mi";
        let status = &deployment["status"];
        let is_ready = status["observedGeneration"] == deployment["metadata"]["generation"]
            && status["updatedReplicas"] == 1
            && status["readyReplicas"] == 1;
        if is_configured && is_ready {
            Ok(Some(()))
        } else {
            bail!("{} {status}", json!([pod["nodeSelector"], requests]))
        }
    })
    .await?;
    progress.line("OCM has written them into its Deployment, and it is ready again");
    Ok(())
}

async fn deployment(bed: &Bed) -> Result<Value> {
    let agent = bed.one.add_on(delivery::ADD_ON);
    let deployment = agent.object("apps/v1", "Deployment", NAMESPACE, "addon-agent").await?;
    deployment.context("the agent has no Deployment")
}
