//! Objects that change a field which makes others replace them.

use std::pin::pin;

use anyhow::{Context, Result, bail, ensure};
use futures::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{Api, WatchEvent, WatchParams};
use serde_json::json;
use testbed::bundle::{Bundle, READY, workload};
use testbed::wait::until;

use super::adoption::scaler;
use super::spec;
use crate::TIMEOUT;
use crate::harness::Shared;

/// Somebody scaled it to six. From the first write on it has six replicas.
pub async fn a_scaled_deployment_becomes_recreate_with_its_replicas(shared: &Shared) -> Result<()> {
    let name = "scaled-recreate";
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    let deployments: Api<Deployment> = Api::namespaced(managed.plane.admin(), name);
    let bundle = |strategy: &str| {
        let mut web = workload("Deployment", "web", READY);
        web["spec"]["replicas"] = json!(null);
        web["spec"]["strategy"] = json!({"type": strategy});
        Bundle::new().namespace(name).object(web).object(scaler())
    };
    add_on.assign(&spec(name, "1.0.0", &bundle("RollingUpdate"))).await?;
    add_on.until_available("1.0.0").await?;
    managed.kubectl(&format!("scale --namespace {name} deployment/web --replicas 6")).await?;
    let scaled = until("six ready pods", TIMEOUT, || async {
        let web = deployments.get("web").await?;
        let ready = web.status.as_ref().and_then(|status| status.ready_replicas);
        if ready == Some(6) { Ok(Some(web)) } else { bail!("{ready:?}") }
    })
    .await?;
    let since = scaled.resource_version().context("no version")?;
    let changes = deployments.watch(&WatchParams::default(), &since).await?;
    add_on.assign(&spec(name, "2.0.0", &bundle("Recreate"))).await?;
    add_on.until_available("2.0.0").await?;
    let now = deployments.get("web").await?.resource_version();
    let mut changes = pin!(changes);
    while let Some(change) = changes.try_next().await? {
        let (WatchEvent::Added(web) | WatchEvent::Modified(web)) = change else { continue };
        let web_spec = web.spec.as_ref().context("no spec")?;
        ensure!(web_spec.replicas == Some(6), "{web_spec:?}");
        if web.resource_version() == now {
            let strategy =
                web_spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
            ensure!(strategy == Some("Recreate"), "{strategy:?}");
            return Ok(());
        }
    }
    bail!("the watch ended early")
}
