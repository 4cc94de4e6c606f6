//! One add-on on a managed cluster: assigns it, waits for its phases, and reads its objects.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use lifecycle::{ManagedAddOn, ManagedAddOnStatus, Phase};
use serde_json::{Value, json};

use crate::bundle::Spec;
use crate::wait::until;

/// Longer than the rollout of any story takes on a loaded machine. A story that needs it fails anyway.
const DEADLINE: Duration = Duration::from_secs(120);

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

    /// Applies the `ManagedAddOn`, as a person does with `kubectl apply`.
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

    /// Sets an annotation of our group, or removes it.
    pub async fn annotate(&self, name: &str, value: Option<&str>) -> Result<()> {
        let name = format!("lifecycle.open-cluster-management.io/{name}");
        let patch = json!({"metadata": {"annotations": {name: value}}});
        self.api.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Makes the klusterlet its owner, by the name of an `AppliedManifestWork`.
    pub async fn set_klusterlet_owner(&self, applied_work: &str) -> Result<()> {
        let owner = json!([{
            "apiVersion": "work.open-cluster-management.io/v1", "kind": "AppliedManifestWork",
            "name": applied_work, "uid": "3c2f2c5e-0000-4000-8000-000000000000",
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
        let object = self.get().await?.context("no ManagedAddOn")?;
        Ok(object.status.unwrap_or_default())
    }

    /// Waits until the status of the newest generation meets a condition. The error says `what` was awaited.
    pub async fn until(
        &self,
        what: &str,
        condition: impl Fn(&ManagedAddOnStatus) -> bool,
    ) -> Result<ManagedAddOnStatus> {
        until(&format!("{} {what}", self.name), DEADLINE, || async {
            let object = self.get().await?.context("no ManagedAddOn")?;
            let status = object.status.clone().unwrap_or_default();
            if status.observed_generation == object.metadata.generation && condition(&status) {
                return Ok(Some(status));
            }
            bail!("{}", summarize(&status))
        })
        .await
    }

    pub async fn until_phase(&self, phase: Phase) -> Result<ManagedAddOnStatus> {
        self.until(&format!("to be {}", phase.name()), |status| status.phase == Some(phase)).await
    }

    /// Waits until this version is Available.
    pub async fn until_available(&self, version: &str) -> Result<ManagedAddOnStatus> {
        self.until(&format!("to be Available in {version}"), |status| {
            status.phase == Some(Phase::Available)
                && status.current_version.as_deref() == Some(version)
        })
        .await
    }

    pub async fn until_gone(&self) -> Result<()> {
        until(&format!("{} to be gone", self.name), DEADLINE, || async {
            match self.get().await? {
                None => Ok(Some(())),
                Some(object) => bail!("{}", summarize(&object.status.unwrap_or_default())),
            }
        })
        .await
    }

    /// Returns an object of the cluster as JSON, if it exists.
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

    /// Returns the value of a ConfigMap that [`crate::bundle::Bundle::config`] made, if it exists.
    pub async fn config(&self, namespace: &str, name: &str) -> Result<Option<String>> {
        let object = self.object("v1", "ConfigMap", namespace, name).await?;
        Ok(object.and_then(|object| Some(object.pointer("/data/value")?.as_str()?.to_owned())))
    }

    /// Returns the image of a Deployment's first container, if the Deployment exists.
    pub async fn image(&self, namespace: &str, name: &str) -> Result<Option<String>> {
        let object = self.object("apps/v1", "Deployment", namespace, name).await?;
        let image = "/spec/template/spec/containers/0/image";
        Ok(object.and_then(|object| Some(object.pointer(image)?.as_str()?.to_owned())))
    }
}

/// Returns a status in one line.
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
