//! Successors: a `ManagedAddOn` that was deleted without an order is recreated with the same ledger.
//!
//! The successor is saved in a Secret before the finalizer of its predecessor is removed, so that an agent that is killed
//! in between loses nothing.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use lifecycle::names::{FIELD_MANAGER, FINALIZER, annotation, label, secret_type};
use lifecycle::{Fault, ManagedAddOn, Reason, Rollout};

use crate::cluster::error;

const CONTENT: &str = "managedaddon.json";

/// The generation that the API server gives to a new object.
const FIRST_GENERATION: i64 = 1;

/// The saved successors of all add-ons, in the agent's namespace.
#[derive(Clone)]
pub struct Successors {
    secrets: Api<Secret>,
    add_ons: Api<ManagedAddOn>,
}

impl Successors {
    /// Prepares access to the Secrets in the agent's namespace, without a request.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { secrets: Api::namespaced(client.clone(), namespace), add_ons: Api::all(client) }
    }

    /// Saves the successor of a `ManagedAddOn` that is being deleted.
    ///
    /// # Errors
    /// `RetainFailed` if it cannot be serialized; otherwise the API server's error.
    pub async fn save(&self, predecessor: &ManagedAddOn, rollout: &Rollout) -> Result<(), Fault> {
        let content = serde_json::to_vec(&successor_of(predecessor, rollout)).map_err(|error| {
            Fault::new(Reason::RetainFailed, format!("could not serialize the successor: {error}"))
        })?;
        let secret = new_secret(predecessor, content);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let saved = self.secrets.patch(&secret.name_any(), &params, &Patch::Apply(&secret)).await;
        saved.map(drop).map_err(|error| error::to_fault("could not save the successor", &error))
    }

    /// Returns the ledger that a `ManagedAddOn` inherits from its predecessor, if it has one.
    pub async fn inherit(&self, add_on: &ManagedAddOn) -> kube::Result<Option<Rollout>> {
        let secret = self.secrets.get_opt(&secret_name(&add_on.name_any())).await?;
        let secret = secret.filter(|secret| predecessor_of(secret) != add_on.uid());
        let status = secret.as_ref().and_then(parse_content).and_then(|saved| saved.status);
        Ok(status.and_then(|status| Rollout::load(&status).ok().flatten()))
    }

    /// Deletes the saved successor of an add-on, if there is one.
    ///
    /// # Errors
    /// The API server's error.
    pub async fn delete(&self, add_on: &str) -> Result<(), Fault> {
        let name = secret_name(add_on);
        match self.secrets.delete(&name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(error) if error::is_absent(&error, &name) => Ok(()),
            Err(error) => Err(error::to_fault("could not delete the saved successor", &error)),
        }
    }

    /// Recreates each `ManagedAddOn` that has a saved successor and is gone. Deletes saved successors that are no longer
    /// needed, because the new `ManagedAddOn` has its ledger.
    pub async fn recreate_all(&self) {
        let params = ListParams::default().labels(label::SUCCESSOR);
        let secrets = match self.secrets.list(&params).await {
            Ok(secrets) => secrets,
            Err(error) => {
                tracing::warn!(%error, "could not list saved successors; the next listing retries");
                return;
            }
        };
        // One that the API server refuses does not hold up the others.
        for secret in secrets {
            let Some(successor) = parse_content(&secret) else { continue };
            if let Err(error) = self.recreate_or_delete(&secret, &successor).await {
                let addon = successor.name_any();
                tracing::warn!(addon, %error, "could not recreate a ManagedAddOn; the next listing retries");
            }
        }
    }

    async fn recreate_or_delete(
        &self,
        secret: &Secret,
        successor: &ManagedAddOn,
    ) -> kube::Result<()> {
        let name = successor.name_any();
        match self.add_ons.get(&name).await {
            Err(error) if error::is_absent(&error, &name) => self.recreate(successor).await,
            Err(error) => Err(error),
            Ok(existing) if predecessor_of(secret) == existing.uid() => Ok(()),
            Ok(existing) => {
                if has_ledger(&existing) {
                    _ = self.delete(&name).await;
                }
                Ok(())
            }
        }
    }

    async fn recreate(&self, successor: &ManagedAddOn) -> kube::Result<()> {
        let params =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match self.add_ons.create(&params, successor).await {
            Ok(_) => tracing::info!(
                addon = successor.name_any(),
                "recreated ManagedAddOn: the hub did not order its deletion"
            ),
            Err(error) if error::is_conflict(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Returns the same `ManagedAddOn` without an owner and marked as orphaned.
fn successor_of(predecessor: &ManagedAddOn, rollout: &Rollout) -> ManagedAddOn {
    let mut annotations = predecessor.metadata.annotations.clone().unwrap_or_default();
    annotations.remove(annotation::REMOVAL);
    let why = "it was deleted, but the hub did not order that; all objects stay";
    annotations.insert(annotation::ORPHANED.to_owned(), why.to_owned());
    let generation = predecessor.metadata.generation.unwrap_or_default();
    let rollout = rollout.clone().for_successor(generation, FIRST_GENERATION);
    let mut status = predecessor.status.clone().unwrap_or_default();
    status.history = rollout.history.clone();
    status.rollout = serde_json::to_value(&rollout).ok();
    ManagedAddOn {
        metadata: ObjectMeta {
            name: predecessor.metadata.name.clone(),
            labels: predecessor.metadata.labels.clone(),
            annotations: Some(annotations),
            finalizers: Some(vec![FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: predecessor.spec.clone(),
        status: Some(status),
    }
}

fn new_secret(predecessor: &ManagedAddOn, content: Vec<u8>) -> Secret {
    let entry = |key: &str, value: String| Some(BTreeMap::from([(key.to_owned(), value)]));
    Secret {
        metadata: ObjectMeta {
            name: Some(secret_name(&predecessor.name_any())),
            labels: entry(label::SUCCESSOR, "true".to_owned()),
            annotations: entry(annotation::PREDECESSOR, predecessor.uid().unwrap_or_default()),
            ..ObjectMeta::default()
        },
        type_: Some(secret_type::SUCCESSOR.to_owned()),
        data: Some(BTreeMap::from([(CONTENT.to_owned(), ByteString(content))])),
        ..Secret::default()
    }
}

fn secret_name(add_on: &str) -> String {
    format!("successor-{add_on}")
}

/// Returns the UID of the `ManagedAddOn` from which the saved successor was made.
fn predecessor_of(secret: &Secret) -> Option<String> {
    secret.annotations().get(annotation::PREDECESSOR).cloned()
}

/// Returns the saved successor. Another add-on's Secret with the same label is none.
fn parse_content(secret: &Secret) -> Option<ManagedAddOn> {
    if secret.type_.as_deref() != Some(secret_type::SUCCESSOR) {
        return None;
    }
    serde_json::from_slice(&secret.data.as_ref()?.get(CONTENT)?.0).ok()
}

fn has_ledger(add_on: &ManagedAddOn) -> bool {
    add_on.status.as_ref().is_some_and(|status| status.rollout.is_some())
}
