//! One add-on on a managed cluster, as a tester speaks of it: assign it, wait for a phase, look at what is there.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use lifecycle::{ManagedAddOn, ManagedAddOnStatus, Phase};
use serde_json::{Value, json};

use crate::bundle::Spec;
use crate::wait::until;

/// Longer than any story's rollout takes on a loaded machine; a story that needs it fails anyway.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone)]
pub struct AddOn {
    client: Client,
    api: Api<ManagedAddOn>,
    pub name: String,
}

impl AddOn {
    pub fn new(client: Client, name: &str) -> Self {
        Self { api: Api::all(client.clone()), client, name: name.to_owned() }
    }

    /// As a person would with `kubectl apply`.
    pub async fn assign(&self, spec: &Spec) -> Result<()> {
        let object = json!({
            "apiVersion": "lifecycle.open-cluster-management.io/v1alpha1",
            "kind": "ManagedAddOn",
            "metadata": {"name": self.name},
            "spec": spec.0,
        });
        let params = PatchParams::apply("tester").force();
        self.api.patch(&self.name, &params, &Patch::Apply(object)).await?;
        Ok(())
    }

    pub async fn annotate(&self, name: &str, value: Option<&str>) -> Result<()> {
        let name = format!("lifecycle.open-cluster-management.io/{name}");
        let patch = json!({"metadata": {"annotations": {name: value}}});
        self.api.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Makes it the klusterlet's, by the name of the klusterlet's record of it.
    pub async fn own(&self, record: &str) -> Result<()> {
        let owner = json!([{
            "apiVersion": "work.open-cluster-management.io/v1", "kind": "AppliedManifestWork",
            "name": record, "uid": "3c2f2c5e-0000-4000-8000-000000000000",
        }]);
        let patch = Patch::Merge(json!({"metadata": {"ownerReferences": owner}}));
        self.api.patch(&self.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    pub async fn delete(&self) -> Result<()> {
        self.api.delete(&self.name, &DeleteParams::default()).await?;
        Ok(())
    }

    pub async fn get(&self) -> Result<Option<ManagedAddOn>> {
        Ok(self.api.get_opt(&self.name).await?)
    }

    pub async fn status(&self) -> Result<ManagedAddOnStatus> {
        let object = self.get().await?.context("there is no such ManagedAddOn")?;
        Ok(object.status.unwrap_or_default())
    }

    /// Waits until the status, of the newest generation, is as told.
    pub async fn until(
        &self,
        what: &str,
        is: impl Fn(&ManagedAddOnStatus) -> bool,
    ) -> Result<ManagedAddOnStatus> {
        until(&format!("{} {what}", self.name), PATIENCE, || async {
            let object = self.get().await?.context("no ManagedAddOn")?;
            let status = object.status.clone().unwrap_or_default();
            if status.observed_generation == object.metadata.generation && is(&status) {
                return Ok(Some(status));
            }
            bail!("{}", summarize(&status))
        })
        .await
    }

    pub async fn until_phase(&self, phase: Phase) -> Result<ManagedAddOnStatus> {
        self.until(&format!("to be {}", phase.name()), |status| status.phase == Some(phase)).await
    }

    /// Available in this version.
    pub async fn until_available(&self, version: &str) -> Result<ManagedAddOnStatus> {
        self.until(&format!("to be Available in {version}"), |status| {
            status.phase == Some(Phase::Available)
                && status.current_version.as_deref() == Some(version)
        })
        .await
    }

    pub async fn until_gone(&self) -> Result<()> {
        until(&format!("{} to be gone", self.name), PATIENCE, || async {
            match self.get().await? {
                None => Ok(Some(())),
                Some(object) => bail!("{}", summarize(&object.status.unwrap_or_default())),
            }
        })
        .await
    }

    /// A living object, as JSON.
    pub async fn object(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = match namespace {
            "" => Api::all_with(self.client.clone(), &resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource),
        };
        Ok(api.get_opt(name).await?.map(serde_json::to_value).transpose()?)
    }

    /// The value of one of the bundle builder's ConfigMaps.
    pub async fn config(&self, namespace: &str, name: &str) -> Result<Option<String>> {
        let object = self.object("v1", "ConfigMap", namespace, name).await?;
        Ok(object.and_then(|object| Some(object.pointer("/data/value")?.as_str()?.to_owned())))
    }

    /// The first container's image of a Deployment.
    pub async fn image(&self, namespace: &str, name: &str) -> Result<Option<String>> {
        let object = self.object("apps/v1", "Deployment", namespace, name).await?;
        let image = "/spec/template/spec/containers/0/image";
        Ok(object.and_then(|object| Some(object.pointer(image)?.as_str()?.to_owned())))
    }
}

/// A status in one line.
pub fn summarize(status: &ManagedAddOnStatus) -> String {
    format!(
        "{} {} {} current={} desired={} {}: {}",
        status.phase.map_or("no phase", Phase::name),
        status.operation.map_or("", |operation| operation.name()),
        status.result.map_or("", |result| result.name()),
        status.current_version.as_deref().unwrap_or("none"),
        status.desired_version.as_deref().unwrap_or("none"),
        status.reason.as_deref().unwrap_or_default(),
        status.message.as_deref().unwrap_or_default(),
    )
}
