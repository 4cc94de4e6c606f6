//! An add-on that reads from the hub with an identity of its own. OCM creates one for each add-on whose template asks for
//! it; the add-on's pods mount it.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use testbed::Progress;
use testbed::bundle::{Bundle, Spec};
use testbed::ocm::Fleet;
use testbed::wait::until;

use crate::bed::{Bed, ONE};
use crate::images::KUBECTL;

const ADD_ON: &str = "inventory";

/// The name of the identity on the hub.
const USER: &str =
    "system:open-cluster-management:cluster:one:addon:inventory:agent:inventory-agent";

/// Rights of the identity. OCM's add-on manager can bind only what it holds itself, and it holds these.
const RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: inventory}
rules:
- {apiGroups: [addon.open-cluster-management.io], resources: [managedclusteraddons], verbs: [get]}
";

/// The pod of an add-on can use the identity.
pub async fn use_own_identity(progress: &Progress, bed: &Bed) -> Result<()> {
    progress
        .heading("An add-on with real containers reads from the hub with an identity of its own");
    bed.hub.plane.apply_yaml(RIGHTS).await?;
    let fleet = Fleet::new(&bed.hub, ADD_ON);
    fleet.registered_template(&spec(), ADD_ON).await?;
    fleet.assign_manually(ONE, "1.0.0").await?;
    let add_on = bed.one.add_on(ADD_ON);
    add_on.until_available("1.0.0").await?;
    until_hub_read(bed).await?;
    progress.line("its pod is ready, and the hub was read with the identity from OCM");
    fleet.remove().await?;
    add_on.until_gone().await?;
    progress.line("it is uninstalled");
    Ok(())
}

/// Returns a version whose pod is ready as long as the hub answers.
fn spec() -> Spec {
    let probe = json!([
        "/kubectl",
        "--kubeconfig=/hub/kubeconfig",
        "get",
        "managedclusteraddon",
        ADD_ON,
        "-n",
        "${CLUSTER_NAME}",
        "--request-timeout=5s",
    ]);
    let container = json!({
        "name": "main", "image": KUBECTL,
        "args": ["proxy", "--kubeconfig=/hub/kubeconfig"],
        "volumeMounts": [{"name": "hub", "mountPath": "/hub", "readOnly": true}],
        "readinessProbe": {"exec": {"command": probe}, "periodSeconds": 2, "timeoutSeconds": 6},
    });
    let labels = json!({"app": ADD_ON});
    let bundle = Bundle::new().object(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": ADD_ON},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [container],
                    "volumes": [{"name": "hub", "secret": {"secretName": "inventory-hub-kubeconfig"}}],
                },
            },
        },
    }));
    let spec =
        Spec::inline("1.0.0", &bundle).with("values", json!({"CLUSTER_NAME": "{{CLUSTER_NAME}}"}));
    spec.policy("timeout", "180s")
}

async fn until_hub_read(bed: &Bed) -> Result<()> {
    until("the hub to be read with the identity", Duration::from_secs(20), || async {
        let audit = bed.hub.plane.audit()?;
        let is_read = audit.iter().any(|event| {
            event["user"]["username"] == USER
                && event["objectRef"]["resource"] == "managedclusteraddons"
                && event["objectRef"]["name"] == ADD_ON
                && event["responseStatus"]["code"] == 200
        });
        Ok(is_read.then_some(()))
    })
    .await
}
