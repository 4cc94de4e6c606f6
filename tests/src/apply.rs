//! Server-side apply of multi-document YAML.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::{self, ApiResource, Scope};
use kube::runtime::wait::{Condition, conditions};
use kube::{Api, Client, ResourceExt};

use crate::wait;

/// Discovery lags behind a new CRD, by half a second at most when idle.
const DEADLINE: Duration = Duration::from_secs(20);

/// Applies the documents in order, and waits for each CRD to be established. An object without a namespace goes to
/// `default`.
pub async fn apply(client: &Client, yaml: &str) -> Result<()> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let objects: Vec<DynamicObject> = serde_saphyr::from_multiple_with_options(yaml, options)?;
    for object in &objects {
        let kind = object.types.as_ref().context("find apiVersion and kind")?;
        let kind = GroupVersionKind::try_from(kind)?;
        let what = format!("{} {}", kind.kind, object.name_any());
        apply_one(client, &kind, object).await.with_context(|| format!("apply {what}"))?;
    }
    Ok(())
}

async fn apply_one(client: &Client, kind: &GroupVersionKind, object: &DynamicObject) -> Result<()> {
    let (resource, scope) = resource(client, kind).await?;
    let api: Api<DynamicObject> = match scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let namespace = object.namespace().unwrap_or_else(|| "default".into());
            Api::namespaced_with(client.clone(), &namespace, &resource)
        }
    };
    let params = PatchParams::apply("testbed").force();
    api.patch(&object.name_any(), &params, &Patch::Apply(object)).await?;
    if kind.kind == "CustomResourceDefinition" {
        wait_until_established(client, &object.name_any()).await?;
    }
    Ok(())
}

async fn resource(client: &Client, kind: &GroupVersionKind) -> Result<(ApiResource, Scope)> {
    let what = format!("{} to be served", kind.kind);
    wait::until(&what, DEADLINE, || async {
        let (resource, capabilities) = discovery::pinned_kind(client, kind).await?;
        Ok(Some((resource, capabilities.scope)))
    })
    .await
}

async fn wait_until_established(client: &Client, name: &str) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let what = format!("CRD {name} to be established");
    wait::until(&what, DEADLINE, || async {
        let crd = api.get_opt(name).await?;
        Ok(conditions::is_crd_established().matches_object(crd.as_ref()).then_some(()))
    })
    .await
}
