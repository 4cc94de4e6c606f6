//! What runs before the agent is removed for good: what is being uninstalled is finished, and the other add-ons stay.
//! Without it their `ManagedAddOn`s would wait for ever for somebody to take the finalizer off.

use std::time::Duration;

use anyhow::Context;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::core::{ObjectMeta, PartialObjectMeta};
use lifecycle::ManagedAddOn;
use lifecycle::names::FINALIZER;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::args::ReleaseFinalizers;
use crate::cluster::Cluster;
use crate::cluster::error;
use crate::storage::agent_lease::{AgentLease, RENEW_DEADLINE};

/// A definition that is missing for so long is not one that is just not served.
const SURELY_GONE: Duration = Duration::from_secs(20);

/// Between two looks at what is not yet as it should be.
const LOOK: Duration = Duration::from_secs(2);

/// For so long the agent may finish what it uninstalls: a cluster that leaves its hub loses add-ons and agent at once.
const LEAVING: Duration = Duration::from_secs(120);

/// The order to remove an add-on may come to the cluster this long after that for the agent.
const QUIET: Duration = Duration::from_secs(10);

/// Waits for what the agent uninstalls, stops it, then takes the finalizer off every `ManagedAddOn`. May be done twice.
pub async fn run(asked: ReleaseFinalizers) -> anyhow::Result<()> {
    let cluster = Cluster::connect(asked.kubeconfig.as_deref()).await?;
    let api: Api<ManagedAddOn> = Api::all(cluster.own());
    let holder = AgentLease::new(cluster.own(), &asked.namespace);
    // Restarted, it has stopped the agent already, and nobody is left who would uninstall.
    if !holder.is_held().await.context("the agents' lease could not be read")? {
        until_none_is_leaving(&api).await;
    }
    holder.seize(owner(&asked)).await.context("the agents' lease could not be taken")?;
    tracing::info!("the agents' lease is taken; waiting until whoever held it has stopped");
    sleep(RENEW_DEADLINE).await;
    until_none_is_held(&api).await.context("the finalizers could not be taken off")?;
    tracing::info!("no ManagedAddOn waits for the agent; what was installed stays");
    Ok(())
}

/// The pod that this is; with it the agent may start again.
fn owner(asked: &ReleaseFinalizers) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: asked.pod_name.clone()?,
        uid: asked.pod_uid.clone()?,
        ..OwnerReference::default()
    })
}

/// Not for ever: an uninstallation may be stuck, or nobody may be there to do it.
async fn until_none_is_leaving(api: &Api<ManagedAddOn>) {
    let begun = Instant::now();
    let mut last_seen = begun;
    while begun.elapsed() < LEAVING {
        if !none_is_leaving(api).await {
            last_seen = Instant::now();
        }
        if last_seen.elapsed() >= QUIET {
            return;
        }
        sleep(LOOK).await;
    }
    tracing::warn!(after = ?LEAVING, "not waiting any longer; what is left of them stays");
}

/// `false` where it cannot be told.
async fn none_is_leaving(api: &Api<ManagedAddOn>) -> bool {
    match api.list_metadata(&ListParams::default()).await {
        Ok(all) => {
            let leaving: Vec<_> = all.items.iter().filter_map(leaving).collect();
            if !leaving.is_empty() {
                tracing::info!(?leaving, "these are uninstalled first, which the agent does");
            }
            leaving.is_empty()
        }
        // Without the definition there are none.
        Err(error) if error::is_not_found(&error) => true,
        Err(error) => {
            tracing::warn!(%error, "the ManagedAddOns cannot be listed yet");
            false
        }
    }
}

fn leaving(add_on: &PartialObjectMeta<ManagedAddOn>) -> Option<&str> {
    let metadata = &add_on.metadata;
    let is_leaving = metadata.deletion_timestamp.is_some() && is_held(metadata);
    metadata.name.as_deref().filter(|_| is_leaving)
}

async fn until_none_is_held(api: &Api<ManagedAddOn>) -> kube::Result<()> {
    let mut served = Instant::now();
    loop {
        match api.list_metadata(&ListParams::default()).await {
            Ok(all) => {
                served = Instant::now();
                let held: Vec<_> = all.items.iter().filter(|it| is_held(&it.metadata)).collect();
                if held.is_empty() {
                    return Ok(());
                }
                for add_on in held {
                    release(api, add_on).await?;
                }
            }
            // Without the definition there are none.
            Err(error) if error::is_not_found(&error) => match served.elapsed() > SURELY_GONE {
                true => return Ok(()),
                false => sleep(LOOK).await,
            },
            Err(error) => return Err(error),
        }
    }
}

fn is_held(metadata: &ObjectMeta) -> bool {
    metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

/// One that changed meanwhile is looked at again.
async fn release(
    api: &Api<ManagedAddOn>,
    add_on: &PartialObjectMeta<ManagedAddOn>,
) -> kube::Result<()> {
    let metadata = &add_on.metadata;
    let others: Vec<_> =
        metadata.finalizers.iter().flatten().filter(|it| *it != FINALIZER).collect();
    let patch = json!({"metadata": {
        "uid": metadata.uid, "resourceVersion": metadata.resource_version, "finalizers": others,
    }});
    let name = metadata.name.as_deref().unwrap_or_default();
    match api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => tracing::info!(addon = name, "finalizer taken off"),
        Err(error) if error::is_conflict(&error) || error::is_not_found(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
