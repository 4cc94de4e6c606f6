//! The command `release-finalizers`, which OCM runs before it deletes the agent. It lets running uninstalls finish, stops
//! the agent, and removes its finalizers; all other add-ons stay.
//!
//! Without it, a `ManagedAddOn` that is deleted later would wait for ever for an agent to remove the finalizer.

use std::time::Duration;

use anyhow::Context;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::core::{ObjectMeta, PartialObjectMeta};
use lifecycle::names::FINALIZER;
use lifecycle::{KnownKind, ManagedAddOn};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::args::ReleaseFinalizers;
use crate::cluster::Cluster;
use crate::cluster::error;
use crate::storage::agent_identity::AgentIdentity;
use crate::storage::agent_lease::{AgentLease, RENEW_DEADLINE};

/// A CRD that is not served for this long is deleted; for less, it may only not be served for a moment.
const CRD_GONE_AFTER: Duration = Duration::from_secs(20);

/// Time between requests while waiting.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Longest time for running uninstalls. A cluster that leaves its hub loses add-ons and agent at once.
const UNINSTALL_TIMEOUT: Duration = Duration::from_secs(120);

/// Time without an uninstall after which none is expected: the order to remove an add-on may reach the cluster this long
/// after the order to remove the agent.
const QUIET_PERIOD: Duration = Duration::from_secs(10);

/// Waits for running uninstalls, stops the agent, and removes its finalizer from every `ManagedAddOn`. It can be repeated.
///
/// # Errors
/// If the managed cluster cannot be reached, or does not allow it.
pub async fn run(args: ReleaseFinalizers) -> anyhow::Result<()> {
    let cluster = Cluster::connect(args.cluster.kubeconfig.as_deref()).await?;
    let api: Api<ManagedAddOn> = Api::all(cluster.agent_client());
    let identity = AgentIdentity::of_command();
    let lease = AgentLease::new(cluster.agent_client(), &args.cluster.namespace, identity);
    // A restarted command has stopped the agent already, and no agent is left to uninstall.
    if !lease.is_held().await.context("could not read the agent lease; run the command again")? {
        wait_for_uninstalls(&api).await;
    }
    let seized = lease.seize(pod_reference(&args)).await;
    seized.context("could not take the agent lease; run the command again")?;
    tracing::info!("took the agent lease; waiting until its former holder has stopped");
    sleep(RENEW_DEADLINE).await;
    let removed = remove_finalizers(&api).await;
    removed.context("could not remove the finalizers; run the command again")?;
    tracing::info!("no ManagedAddOn has the agent's finalizer; installed objects stay");
    Ok(())
}

/// Returns the pod of this process, if it is known. With it as its owner the lease is deleted with the pod.
fn pod_reference(args: &ReleaseFinalizers) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: "v1".to_owned(),
        kind: KnownKind::Pod.name().to_owned(),
        name: args.pod_name.clone()?,
        uid: args.pod_uid.clone()?,
        ..OwnerReference::default()
    })
}

/// Waits for a limited time, because an uninstall may be stuck, or no agent may run.
async fn wait_for_uninstalls(api: &Api<ManagedAddOn>) {
    let start = Instant::now();
    let mut last_seen = start;
    while start.elapsed() < UNINSTALL_TIMEOUT {
        if has_uninstalls(api).await {
            last_seen = Instant::now();
        }
        if last_seen.elapsed() >= QUIET_PERIOD {
            return;
        }
        sleep(POLL_INTERVAL).await;
    }
    tracing::warn!(after = ?UNINSTALL_TIMEOUT, "uninstalls are not complete; the rest of them stays");
}

/// Returns whether add-ons are being uninstalled; also `true` if that cannot be determined.
async fn has_uninstalls(api: &Api<ManagedAddOn>) -> bool {
    match api.list_metadata(&ListParams::default()).await {
        Ok(add_ons) => {
            let uninstalling: Vec<_> = add_ons.items.iter().filter_map(uninstalling).collect();
            if !uninstalling.is_empty() {
                tracing::info!(addons = ?uninstalling, "waiting for the agent to uninstall add-ons");
            }
            !uninstalling.is_empty()
        }
        // Without the CRD there are none.
        Err(error) if error::is_not_found(&error) => false,
        Err(error) => {
            tracing::warn!(%error, "could not list the ManagedAddOns yet");
            true
        }
    }
}

/// Returns the name of an add-on that is being uninstalled.
fn uninstalling(add_on: &PartialObjectMeta<ManagedAddOn>) -> Option<&str> {
    let metadata = &add_on.metadata;
    let is_uninstalling = metadata.deletion_timestamp.is_some() && has_finalizer(metadata);
    metadata.name.as_deref().filter(|_| is_uninstalling)
}

async fn remove_finalizers(api: &Api<ManagedAddOn>) -> kube::Result<()> {
    let mut last_served = Instant::now();
    loop {
        match api.list_metadata(&ListParams::default()).await {
            Ok(add_ons) => {
                last_served = Instant::now();
                let mut remaining =
                    add_ons.items.iter().filter(|it| has_finalizer(&it.metadata)).peekable();
                if remaining.peek().is_none() {
                    return Ok(());
                }
                for add_on in remaining {
                    remove_finalizer(api, add_on).await?;
                }
            }
            // Without the CRD there are none.
            Err(error) if error::is_not_found(&error) => {
                if last_served.elapsed() > CRD_GONE_AFTER {
                    return Ok(());
                }
                sleep(POLL_INTERVAL).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn has_finalizer(metadata: &ObjectMeta) -> bool {
    metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

/// Leaves an add-on that changed in between to the next attempt.
async fn remove_finalizer(
    api: &Api<ManagedAddOn>,
    add_on: &PartialObjectMeta<ManagedAddOn>,
) -> kube::Result<()> {
    let metadata = &add_on.metadata;
    let foreign: Vec<_> =
        metadata.finalizers.iter().flatten().filter(|it| *it != FINALIZER).collect();
    let patch = json!({"metadata": {
        "uid": metadata.uid, "resourceVersion": metadata.resource_version, "finalizers": foreign,
    }});
    let name = metadata.name.as_deref().unwrap_or_default();
    match api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => tracing::info!(addon = name, "removed the finalizer"),
        Err(error) if error::is_conflict(&error) || error::is_not_found(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
