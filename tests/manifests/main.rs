//! The agent's `AddOnTemplate` on the hub is made of what is installed on clusters without a hub, so that there is one
//! truth. `UPDATE_MANIFESTS=1 cargo test --package testbed --test manifests` writes it anew.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// In the order in which they are applied.
const PARTS: [&str; 6] = [
    include_str!("../../manifests/agent/namespace.yaml"),
    include_str!("../../manifests/agent/crd.yaml"),
    include_str!("../../manifests/agent/rbac.yaml"),
    include_str!("../../manifests/agent/klusterlet.yaml"),
    include_str!("../../manifests/agent/deployment.yaml"),
    include_str!("../../manifests/hub/pre-delete.yaml"),
];

const NOTE: &str = "\
# Made of manifests/agent and pre-delete.yaml; do not edit. To write it anew:
# UPDATE_MANIFESTS=1 cargo test --package testbed --test manifests
";

/// With the namespace would go the retained releases, with the definition every ManagedAddOn, and without the work agent's
/// rights nobody could remove those. They outlive the agent.
const OUTLIVE: [&str; 3] = [
    "Namespace/open-cluster-management-agent-addon",
    "CustomResourceDefinition/managedaddons.lifecycle.open-cluster-management.io",
    "ClusterRole/addon-agent-managedaddons-work",
];

#[test]
fn the_template_on_the_hub_is_made_of_the_agents_manifests() -> Result<()> {
    let wanted = template()?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/hub/addon-template.yaml");
    if std::env::var_os("UPDATE_MANIFESTS").is_some() {
        fs::write(&path, &wanted)?;
    }
    let committed = fs::read_to_string(&path).context("read manifests/hub/addon-template.yaml")?;
    ensure!(committed == wanted, "run: UPDATE_MANIFESTS=1 cargo test -p testbed --test manifests");
    Ok(())
}

/// Open Cluster Management blanks what stands in double braces.
#[test]
fn nothing_in_the_template_is_a_variable() -> Result<()> {
    ensure!(!template()?.contains("{{"));
    Ok(())
}

fn template() -> Result<String> {
    let mut manifests = Vec::new();
    for part in PARTS {
        let options = serde_saphyr::options! { legacy_octal_numbers: true };
        let objects: Vec<Value> = serde_saphyr::from_multiple_with_options(part, options)?;
        manifests.extend(objects.into_iter().map(outliving));
    }
    let name = format!("addon-lifecycle-{}", env!("CARGO_PKG_VERSION"));
    let template = json!({
        "apiVersion": "addon.open-cluster-management.io/v1alpha1",
        "kind": "AddOnTemplate",
        "metadata": {"name": name},
        "spec": {
            "addonName": "addon-lifecycle",
            "agentSpec": {"workload": {"manifests": manifests}},
            "registration": [{
                "type": "KubeClient",
                "kubeClient": {"hubPermissions": [{
                    "type": "CurrentCluster",
                    "currentCluster": {"clusterRoleName": "addon-lifecycle-agent"},
                }]},
            }],
        },
    });
    Ok(NOTE.to_owned() + &serde_saphyr::to_string(&template)?)
}

fn outliving(mut object: Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]));
    if OUTLIVE.contains(&name.as_str()) {
        object["metadata"]["annotations"]["addon.open-cluster-management.io/deletion-orphan"] =
            json!("");
    }
    object
}
