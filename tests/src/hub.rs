//! A hub with OCM's CRDs: assigns the add-ons of one managed cluster and reads their reports.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::bundle::Spec;
use crate::fault_proxy::Upstream;
use crate::{ControlPlane, Options};

pub(crate) const RIGHTS: [&str; 2] = [
    include_str!("../../manifests/hub/rbac.yaml"),
    include_str!("../../manifests/hub/identity.yaml"),
];
const GROUP: &str = "addon.open-cluster-management.io";

/// A hub, as one managed cluster sees it.
pub struct Hub {
    pub plane: Arc<ControlPlane>,
    client: Client,
    cluster: String,
}

impl Hub {
    /// Starts a hub. `cluster` is the name of the managed cluster, and of its namespace here.
    pub async fn start(name: &str, cluster: &str) -> Result<Self> {
        let plane = ControlPlane::start(Options::api_only(name)).await?;
        plane.install_ocm_crds().await?;
        for manifests in RIGHTS {
            plane.apply_yaml(manifests).await?;
        }
        Self::with_cluster(Arc::new(plane), cluster).await
    }

    /// Returns the same hub, as another managed cluster sees it.
    pub async fn for_cluster(&self, cluster: &str) -> Result<Self> {
        Self::with_cluster(self.plane.clone(), cluster).await
    }

    async fn with_cluster(plane: Arc<ControlPlane>, cluster: &str) -> Result<Self> {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster}});
        plane.apply_yaml(&namespace.to_string()).await?;
        plane.apply_yaml(&binding(cluster).to_string()).await?;
        Ok(Self { client: plane.admin(), plane, cluster: cluster.to_owned() })
    }

    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Returns the hub for a proxy, which sends every request as the agent.
    pub fn upstream(&self) -> Result<Upstream> {
        self.plane.upstream(
            &agent_user(&self.cluster),
            &groups(&self.cluster).each_ref().map(String::as_str),
        )
    }

    /// Writes the agent's kubeconfig, with the identity that OCM gives it, and returns its path.
    pub fn kubeconfig(&self) -> Result<PathBuf> {
        let groups = groups(&self.cluster);
        self.plane.kubeconfig(&agent_user(&self.cluster), &groups.each_ref().map(String::as_str))
    }

    /// Creates a template with a `ManagedAddOn`.
    pub async fn template(&self, add_on: &str, template: &str, spec: &Spec) -> Result<()> {
        let manifest = json!({
            "apiVersion": "lifecycle.open-cluster-management.io/v1alpha1",
            "kind": "ManagedAddOn",
            "metadata": {"name": add_on},
            "spec": spec.0,
        });
        self.template_with(add_on, template, json!([manifest])).await
    }

    /// Creates a template with these manifests.
    pub async fn template_with(
        &self,
        add_on: &str,
        template: &str,
        manifests: Value,
    ) -> Result<()> {
        let object = json!({
            "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "AddOnTemplate",
            "metadata": {"name": template},
            "spec": {"addonName": add_on, "agentSpec": {"workload": {"manifests": manifests}}},
        });
        self.plane.apply_yaml(&object.to_string()).await
    }

    /// Points the cluster's `ManagedClusterAddOn` at a template.
    pub async fn assign(&self, add_on: &str, template: &str) -> Result<()> {
        let config = json!({"group": GROUP, "resource": "addontemplates", "name": template});
        let object = json!({
            "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "ManagedClusterAddOn",
            "metadata": {"name": add_on, "namespace": self.cluster},
            "spec": {"configs": [config]},
        });
        self.plane.apply_yaml(&object.to_string()).await
    }

    pub async fn unassign(&self, add_on: &str) -> Result<()> {
        self.add_ons().delete(add_on, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Deletes the `ManagedClusterAddOn` and the lease, if they exist.
    pub async fn forget(&self, add_on: &str) -> Result<()> {
        let params = DeleteParams::default();
        _ = self.add_ons().delete(add_on, &params).await;
        _ = self.leases().delete(add_on, &params).await;
        Ok(())
    }

    /// Returns the `ManagedClusterAddOn` as JSON.
    pub async fn add_on(&self, name: &str) -> Result<Value> {
        Ok(serde_json::to_value(self.add_ons().get(name).await?)?)
    }

    /// Returns every `ManagedClusterAddOn` of the cluster.
    pub async fn all_add_ons(&self) -> Result<Value> {
        Ok(serde_json::to_value(self.add_ons().list(&Default::default()).await?)?)
    }

    pub async fn add_on_opt(&self, name: &str) -> Result<Option<Value>> {
        Ok(self.add_ons().get_opt(name).await?.map(serde_json::to_value).transpose()?)
    }

    /// Returns a condition of the `ManagedClusterAddOn`.
    pub async fn condition(&self, add_on: &str, kind: &str) -> Result<Value> {
        let object = self.add_on(add_on).await?;
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
        let found = conditions.into_iter().flatten().find(|condition| condition["type"] == kind);
        found.cloned().with_context(|| format!("no condition {kind} on {add_on}"))
    }

    /// Creates a `ClusterManagementAddOn`, which makes the add-on one of a fleet.
    pub async fn add_to_fleet(&self, add_on: &str) -> Result<()> {
        let object = json!({
            "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "ClusterManagementAddOn",
            "metadata": {"name": add_on}, "spec": {},
        });
        self.plane.apply_yaml(&object.to_string()).await
    }

    /// Creates a ManifestWork that is being deleted and waits for the klusterlet.
    pub async fn create_deleted_work(&self, name: &str) -> Result<()> {
        let object = json!({
            "apiVersion": "work.open-cluster-management.io/v1", "kind": "ManifestWork",
            "metadata": {
                "name": name, "namespace": self.cluster,
                "finalizers": ["cluster.open-cluster-management.io/manifest-work-cleanup"],
            },
            "spec": {"workload": {"manifests": []}},
        });
        self.plane.apply_yaml(&object.to_string()).await?;
        let delete = ["delete", "manifestwork", name, "-n", &self.cluster, "--wait=false"];
        self.plane.kubectl(&delete).await.map(drop)
    }

    /// Writes the state of OCM's rollout of configurations.
    pub async fn set_config_references(&self, add_on: &str, references: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"status": {"configReferences": references}}));
        self.add_ons().patch_status(add_on, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Writes conditions, as another controller does.
    pub async fn set_conditions(&self, add_on: &str, conditions: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"status": {"conditions": conditions}}));
        self.add_ons().patch_status(add_on, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    pub async fn lease(&self, name: &str) -> Result<Lease> {
        Ok(self.leases().get(name).await?)
    }

    pub async fn lease_opt(&self, name: &str) -> Result<Option<Lease>> {
        Ok(self.leases().get_opt(name).await?)
    }

    /// Returns the API of the cluster's leases, as administrator.
    pub fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.cluster)
    }

    /// Returns the report in an add-on's lease.
    pub async fn report(&self, add_on: &str) -> Result<Value> {
        self.parse_report(&self.lease(add_on).await?)
    }

    pub fn parse_report(&self, lease: &Lease) -> Result<Value> {
        let annotations = lease.metadata.annotations.as_ref();
        let status = annotations
            .and_then(|all| all.get("lifecycle.open-cluster-management.io/status"))
            .context("the lease has no report")?;
        Ok(serde_json::from_str(status)?)
    }

    fn add_ons(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(GROUP, "v1alpha1", "ManagedClusterAddOn");
        Api::namespaced_with(self.client.clone(), &self.cluster, &ApiResource::from_gvk(&kind))
    }
}

fn agent_user(cluster: &str) -> String {
    format!(
        "system:open-cluster-management:cluster:{cluster}:addon:addon-lifecycle:agent:addon-lifecycle-agent"
    )
}

fn groups(cluster: &str) -> [String; 2] {
    [group(cluster), "system:open-cluster-management:addon:addon-lifecycle".to_owned()]
}

fn group(cluster: &str) -> String {
    format!("system:open-cluster-management:cluster:{cluster}:addon:addon-lifecycle")
}

/// Returns the binding that OCM's add-on manager makes for a template with `hubPermissions: CurrentCluster`.
fn binding(cluster: &str) -> Value {
    let (api, kind) = ("rbac.authorization.k8s.io", "ClusterRole");
    json!({
        "apiVersion": format!("{api}/v1"), "kind": "RoleBinding",
        "metadata": {"name": "open-cluster-management:addon-lifecycle:clusterrole:agent", "namespace": cluster},
        "roleRef": {"apiGroup": api, "kind": kind, "name": "addon-lifecycle-agent"},
        "subjects": [{"apiGroup": api, "kind": "Group", "name": group(cluster)}],
    })
}
