//! One add-on of a whole fleet, on the hub: a template for each version, and a placement that says which version goes to
//! which clusters.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::OcmHub;
use crate::bundle::Spec;
use crate::wait::until;

const GROUP: &str = "addon.open-cluster-management.io";

/// True when the cluster runs the assigned version. OCM takes the rule of the default template for all versions.
const AVAILABLE: &str = "has(object.status) && has(object.status.observedGeneration) \
    && object.status.observedGeneration == object.metadata.generation \
    && has(object.status.phase) && object.status.phase == 'Available' \
    && has(object.status.currentVersion) && object.status.currentVersion == object.spec.version";

pub struct Fleet<'a> {
    hub: &'a OcmHub,
    pub name: String,
}

impl<'a> Fleet<'a> {
    pub fn new(hub: &'a OcmHub, name: &str) -> Self {
        Self { hub, name: name.to_owned() }
    }

    /// Creates the template of a version, `<add-on>-<version>`, with a `ManagedAddOn`.
    pub async fn template(&self, spec: &Spec) -> Result<()> {
        self.managed_template(spec, None).await
    }

    /// Creates the same template, and gives each cluster's add-on an identity on the hub with the rights of `cluster_role` in
    /// the cluster's namespace.
    pub async fn registered_template(&self, spec: &Spec, cluster_role: &str) -> Result<()> {
        let permission = json!({
            "type": "CurrentCluster", "currentCluster": {"clusterRoleName": cluster_role},
        });
        let client = json!({"hubPermissions": [permission]});
        let kube_client = json!({"type": "KubeClient", "kubeClient": client});
        self.managed_template(spec, Some(kube_client)).await
    }

    async fn managed_template(&self, spec: &Spec, registration: Option<Value>) -> Result<()> {
        let version = spec.0["version"].as_str().context("the spec has a version")?;
        let add_on = json!({
            "apiVersion": "lifecycle.open-cluster-management.io/v1alpha1", "kind": "ManagedAddOn",
            "metadata": {
                "name": self.name,
                "annotations": {"lifecycle.open-cluster-management.io/template": self.template_name(version)},
            },
            "spec": spec.0,
        });
        let health = json!({
            "resourceIdentifier": {
                "group": "lifecycle.open-cluster-management.io",
                "resource": "managedaddons",
                "name": self.name,
            },
            "conditionRules": [{
                "condition": "Available", "type": "CEL", "celExpressions": [AVAILABLE],
            }],
        });
        let agent = json!({
            "workload": {"manifests": [add_on]}, "manifestConfigs": [health],
        });
        self.write_template(version, &agent, registration).await
    }

    /// Creates a template without a `ManagedAddOn`: it has the add-on's objects.
    pub async fn plain_template(&self, version: &str, objects: &[Value]) -> Result<()> {
        let agent = json!({"workload": {"manifests": objects}});
        self.write_template(version, &agent, None).await
    }

    async fn write_template(
        &self,
        version: &str,
        agent: &Value,
        registration: Option<Value>,
    ) -> Result<()> {
        let mut template = json!({
            "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "AddOnTemplate",
            "metadata": {"name": self.template_name(version)},
            "spec": {"addonName": self.name, "agentSpec": agent},
        });
        // With an empty list OCM adds HUB_KUBECONFIG to every container.
        if let Some(registration) = registration {
            template["spec"]["registration"] = json!([registration]);
        }
        self.hub.plane.apply_yaml(&template.to_string()).await
    }

    /// Assigns a version to every cluster, rolled out by `strategy`. Its template must exist.
    pub async fn roll_out(&self, version: &str, strategy: &Value) -> Result<()> {
        let default = self.default_version().await?;
        self.roll_out_with_rules_of(default.as_deref().unwrap_or(version), version, strategy).await
    }

    /// Does the same with the health rules of the template of `default`.
    pub async fn roll_out_with_rules_of(
        &self,
        default: &str,
        version: &str,
        strategy: &Value,
    ) -> Result<()> {
        let everywhere = json!({
            "namespace": "default", "name": "everywhere",
            "configs": [self.reference(version)],
            "rolloutStrategy": strategy,
        });
        self.apply_add_on(default, &json!({"type": "Placements", "placements": [everywhere]})).await
    }

    /// Assigns the default template of a version to one cluster by hand.
    pub async fn assign_manually(&self, cluster: &str, version: &str) -> Result<()> {
        self.apply_add_on(version, &json!({"type": "Manual"})).await?;
        self.assign(cluster, &[]).await
    }

    /// Assigns a version to one cluster without a `ClusterManagementAddOn`.
    pub async fn assign_stand_alone(&self, cluster: &str, version: &str) -> Result<()> {
        self.assign(cluster, &[self.reference(version)]).await
    }

    async fn apply_add_on(&self, default: &str, install: &Value) -> Result<()> {
        let add_on = json!({
            "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "ClusterManagementAddOn",
            "metadata": {"name": self.name},
            "spec": {
                "supportedConfigs": [{
                    "group": GROUP, "resource": "addontemplates",
                    "defaultConfig": {"name": self.template_name(default)},
                }],
                "installStrategy": install,
            },
        });
        self.hub.plane.apply_yaml(&add_on.to_string()).await
    }

    async fn assign(&self, cluster: &str, configs: &[Value]) -> Result<()> {
        let add_on = json!({
            "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "ManagedClusterAddOn",
            "metadata": {"name": self.name, "namespace": cluster}, "spec": {"configs": configs},
        });
        self.hub.plane.apply_yaml(&add_on.to_string()).await
    }

    fn reference(&self, version: &str) -> Value {
        json!({"group": GROUP, "resource": "addontemplates", "name": self.template_name(version)})
    }

    /// Deletes the `ClusterManagementAddOn`, which removes the add-on everywhere.
    pub async fn remove(&self) -> Result<()> {
        self.hub.fleet_add_ons().delete(&self.name, &Default::default()).await?;
        Ok(())
    }

    /// Assigns another version to one cluster than its placement does. `None` ends that.
    pub async fn pin(&self, cluster: &str, version: Option<&str>) -> Result<()> {
        let configs: Vec<Value> =
            version.map(|version| self.reference(version)).into_iter().collect();
        let patch = Patch::Merge(json!({"spec": {"configs": configs}}));
        self.hub.add_ons(cluster).patch(&self.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Waits until OCM counts the version as applied on a cluster.
    pub async fn until_completed(
        &self,
        cluster: &str,
        version: &str,
        within: Duration,
    ) -> Result<()> {
        let wanted = Some(self.template_name(version));
        until(&format!("{cluster} to have completed {} {version}", self.name), within, || async {
            let reference = self.hub.template_reference(cluster, &self.name).await?;
            if reference.desired == wanted && reference.applied == wanted {
                return Ok(Some(()));
            }
            bail!("{reference:?}")
        })
        .await
    }

    /// Waits until OCM's message about the whole rollout contains `text`.
    pub async fn until_progress(&self, text: &str, within: Duration) -> Result<()> {
        until(&format!("OCM to report of {}: {text}", self.name), within, || async {
            let progress = self.hub.progress(&self.name).await?;
            let message = progress["message"].as_str().unwrap_or_default();
            if message.contains(text) {
                return Ok(Some(()));
            }
            bail!("{message:?}")
        })
        .await
    }

    /// Returns the name of the template of a version.
    pub fn template_name(&self, version: &str) -> String {
        format!("{}-{version}", self.name)
    }

    /// Returns the first version that was rolled out. OCM takes the health rules of its template.
    async fn default_version(&self) -> Result<Option<String>> {
        let existing = self.hub.fleet_add_ons().get_opt(&self.name).await?;
        let name = existing.and_then(|add_on| {
            let config = &add_on.data["spec"]["supportedConfigs"][0]["defaultConfig"];
            Some(config["name"].as_str()?.to_owned())
        });
        Ok(name.and_then(|name| Some(name.strip_prefix(&self.name)?[1..].to_owned())))
    }
}
