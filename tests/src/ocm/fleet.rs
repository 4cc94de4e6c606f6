//! One add-on of a whole fleet, as its owner speaks of it on the hub: a template a version, and a placement that says
//! which version goes where.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::OcmHub;
use crate::bundle::Spec;
use crate::wait::until;

const GROUP: &str = "addon.open-cluster-management.io";

/// True when the cluster runs what it was told to run. OCM takes it from the default template for all versions.
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

    /// The template of a version, `<add-on>-<version>`, which carries a `ManagedAddOn`.
    pub async fn template(&self, spec: &Spec) -> Result<()> {
        self.managed_template(spec, None).await
    }

    /// The same; on the hub each cluster's add-on has an identity of its own, which may do what `cluster_role` says in the
    /// cluster's namespace.
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
                "annotations": {"lifecycle.open-cluster-management.io/template": self.name_of(version)},
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
        self.template_of(version, &agent, registration).await
    }

    /// As before there was an agent: the template holds the add-on's objects.
    pub async fn plain_template(&self, version: &str, objects: &[Value]) -> Result<()> {
        let agent = json!({"workload": {"manifests": objects}});
        self.template_of(version, &agent, None).await
    }

    async fn template_of(
        &self,
        version: &str,
        agent: &Value,
        registration: Option<Value>,
    ) -> Result<()> {
        let mut template = json!({
            "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "AddOnTemplate",
            "metadata": {"name": self.name_of(version)},
            "spec": {"addonName": self.name, "agentSpec": agent},
        });
        // For OCM an empty list is not none: it would add HUB_KUBECONFIG to every container.
        if let Some(registration) = registration {
            template["spec"]["registration"] = json!([registration]);
        }
        self.hub.plane.apply_yaml(&template.to_string()).await
    }

    /// Assigns a version to every cluster, rolled out by `strategy`. The template has to be there.
    pub async fn roll_out(&self, version: &str, strategy: &Value) -> Result<()> {
        let default = self.default_version().await?;
        self.roll_out_by(default.as_deref().unwrap_or(version), version, strategy).await
    }

    /// The same by the rules on health of the template of `default`.
    pub async fn roll_out_by(&self, default: &str, version: &str, strategy: &Value) -> Result<()> {
        let everywhere = json!({
            "namespace": "default", "name": "everywhere",
            "configs": [self.reference(version)],
            "rolloutStrategy": strategy,
        });
        self.offer(default, &json!({"type": "Placements", "placements": [everywhere]})).await
    }

    /// Gives it to one cluster, in the version of the default template; others get it by hand too.
    pub async fn give(&self, cluster: &str, version: &str) -> Result<()> {
        self.offer(version, &json!({"type": "Manual"})).await?;
        self.assign(cluster, &[]).await
    }

    /// Without a `ClusterManagementAddOn`: the cluster's own assignment says which version.
    pub async fn give_alone(&self, cluster: &str, version: &str) -> Result<()> {
        self.assign(cluster, &[self.reference(version)]).await
    }

    async fn offer(&self, default: &str, install: &Value) -> Result<()> {
        let add_on = json!({
            "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "ClusterManagementAddOn",
            "metadata": {"name": self.name},
            "spec": {
                "supportedConfigs": [{
                    "group": GROUP, "resource": "addontemplates",
                    "defaultConfig": {"name": self.name_of(default)},
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
        json!({"group": GROUP, "resource": "addontemplates", "name": self.name_of(version)})
    }

    /// Ends it everywhere.
    pub async fn remove(&self) -> Result<()> {
        self.hub.fleet_add_ons().delete(&self.name, &Default::default()).await?;
        Ok(())
    }

    /// Gives one cluster another version than its placement does; `None` ends that.
    pub async fn pin(&self, cluster: &str, version: Option<&str>) -> Result<()> {
        let configs: Vec<Value> = version.map(|it| self.reference(it)).into_iter().collect();
        let patch = Patch::Merge(json!({"spec": {"configs": configs}}));
        self.hub.add_ons(cluster).patch(&self.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Waits until OCM counts the version as done on a cluster.
    pub async fn until_completed(
        &self,
        cluster: &str,
        version: &str,
        within: Duration,
    ) -> Result<()> {
        let wanted = Some(self.name_of(version));
        until(&format!("{cluster} to have completed {} {version}", self.name), within, || async {
            let placed = self.hub.placed(cluster, &self.name).await?;
            if placed.desired == wanted && placed.applied == wanted {
                return Ok(Some(()));
            }
            bail!("{placed:?}")
        })
        .await
    }

    /// Waits until OCM's own words on the whole rollout contain `words`.
    pub async fn until_progress(&self, words: &str, within: Duration) -> Result<()> {
        until(&format!("OCM to say of {}: {words}", self.name), within, || async {
            let progress = self.hub.progress(&self.name).await?;
            let message = progress["message"].as_str().unwrap_or_default();
            if message.contains(words) {
                return Ok(Some(()));
            }
            bail!("{message:?}")
        })
        .await
    }

    pub fn name_of(&self, version: &str) -> String {
        format!("{}-{version}", self.name)
    }

    /// The first version that was rolled out: OCM's rules on health come from its template.
    async fn default_version(&self) -> Result<Option<String>> {
        let existing = self.hub.fleet_add_ons().get_opt(&self.name).await?;
        let name = existing.and_then(|it| {
            let config = &it.data["spec"]["supportedConfigs"][0]["defaultConfig"];
            Some(config["name"].as_str()?.to_owned())
        });
        Ok(name.and_then(|name| Some(name.strip_prefix(&self.name)?[1..].to_owned())))
    }
}
