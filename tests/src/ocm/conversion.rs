//! OCM's webhook that converts add-ons between the versions of their API, where this release of OCM has one.

use anyhow::{Context, Result};

use super::HUB_NAMESPACE;
use super::controllers::kubeconfig;
use crate::ControlPlane;
use crate::process::Process;
use programs::{Binaries, Tool};

/// The Service and its port, as OCM's CRDs name them.
const NAME: &str = "cluster-manager-addon-webhook";
const PORT: u16 = 9443;

/// Leads the API server to the webhook on this machine, because the hub has no node for its pod.
const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: cluster-manager-addon-webhook, namespace: open-cluster-management-hub}
spec: {type: ExternalName, externalName: localhost}
";

/// Starts the webhook if it is in `manifests`, which OCM installs on a hub.
pub async fn start(
    binaries: &Binaries,
    plane: &ControlPlane,
    manifests: &str,
) -> Result<Option<Process>> {
    if !manifests.contains(NAME) {
        return Ok(None);
    }
    plane.apply_yaml(SERVICE).await?;
    let certificate = plane.serving_certificate(HUB_NAMESPACE, NAME)?;
    let kubeconfig = kubeconfig(plane, HUB_NAMESPACE, "addon-webhook-sa")?;
    let args = [
        "hub-addon-webhook".to_owned(),
        format!("--port={PORT}"),
        format!("--certdir={}", certificate.display()),
    ];
    let log = certificate.join("webhook.log");
    let environment = [("KUBECONFIG", kubeconfig.to_str().context("read a folder's name")?)];
    Process::spawn(&binaries.path(Tool::Ocm), args, &environment, &log).map(Some)
}
