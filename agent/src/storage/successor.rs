//! A `ManagedAddOn` that was deleted though nobody ordered it is made anew, with the same ledger. What is needed for that
//! is in a Secret before the old one is let go, so that an agent that is killed in between loses nothing.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use lifecycle::names::{FIELD_MANAGER, FINALIZER, annotation, label};
use lifecycle::{Fault, ManagedAddOn, Reason, Rollout};

use crate::cluster::error;

const SECRET_TYPE: &str = "lifecycle.open-cluster-management.io/successor";
const CONTENT: &str = "managedaddon.json";

/// UID of the one that goes.
const PREDECESSOR: &str = "lifecycle.open-cluster-management.io/predecessor";

/// The generation of what was just made.
const FIRST: i64 = 1;

#[derive(Clone)]
pub struct Successors {
    secrets: Api<Secret>,
    add_ons: Api<ManagedAddOn>,
}

impl Successors {
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { secrets: Api::namespaced(client.clone(), namespace), add_ons: Api::all(client) }
    }

    /// Keeps what the next one is made of.
    pub async fn save(&self, object: &ManagedAddOn, rollout: &Rollout) -> Result<(), Fault> {
        let failed = |what: &str| Fault::new(Reason::RetainFailed, format!("the successor {what}"));
        let content = serde_json::to_vec(&next(object, rollout))
            .map_err(|error| failed(&format!("could not be written: {error}")))?;
        let secret = secret(object, content);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let saved = self.secrets.patch(&secret.name_any(), &params, &Patch::Apply(&secret)).await;
        saved.map(drop).map_err(|error| error::of("the successor could not be saved", &error))
    }

    /// The ledger that a `ManagedAddOn` takes over from the one before it.
    pub async fn inherit(&self, object: &ManagedAddOn) -> kube::Result<Option<Rollout>> {
        let found = self.secrets.get_opt(&name(&object.name_any())).await?;
        let found = found.filter(|secret| predecessor(secret) != object.uid());
        let next = found.as_ref().and_then(content);
        let status = next.and_then(|next| next.status);
        Ok(status.and_then(|status| Rollout::load(&status).ok().flatten()))
    }

    /// There shall be none.
    pub async fn forget(&self, add_on: &str) -> Result<(), Fault> {
        let name = name(add_on);
        match self.secrets.delete(&name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(error) if error::is_absent(&error, &name) => Ok(()),
            Err(error) => Err(error::of("the successor could not be forgotten", &error)),
        }
    }

    /// Makes anew what is gone, and forgets what took its place for good.
    pub async fn raise_all(&self) {
        if let Err(error) = self.try_raise_all().await {
            tracing::warn!(%error, "successors could not be looked after; will try again");
        }
    }

    async fn try_raise_all(&self) -> kube::Result<()> {
        let ours = ListParams::default().labels(label::SUCCESSOR);
        for secret in self.secrets.list(&ours).await? {
            let Some(next) = content(&secret) else { continue };
            let add_on = next.name_any();
            match self.add_ons.get(&add_on).await {
                Err(error) if error::is_absent(&error, &add_on) => self.raise(&next).await?,
                Err(error) => return Err(error),
                Ok(there) if predecessor(&secret) == there.uid() => {}
                Ok(there) if has_ledger(&there) => _ = self.forget(&add_on).await,
                Ok(_) => {}
            }
        }
        Ok(())
    }

    async fn raise(&self, next: &ManagedAddOn) -> kube::Result<()> {
        let params =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match self.add_ons.create(&params, next).await {
            Ok(_) => tracing::info!(addon = next.name_any(), "made anew: its removal was no order"),
            Err(error) if error::is_conflict(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The same without owner, marked as nobody's.
fn next(object: &ManagedAddOn, rollout: &Rollout) -> ManagedAddOn {
    let mut annotations = object.metadata.annotations.clone().unwrap_or_default();
    annotations.remove(annotation::REMOVAL);
    let why = "it was deleted here, and the hub did not order that; everything stays";
    annotations.insert(annotation::ORPHANED.to_owned(), why.to_owned());
    let generation = object.metadata.generation.unwrap_or_default();
    let rollout = rollout.clone().inherited(generation, FIRST);
    let mut status = object.status.clone().unwrap_or_default();
    status.history = rollout.history.clone();
    status.rollout = serde_json::to_value(&rollout).ok();
    ManagedAddOn {
        metadata: ObjectMeta {
            name: object.metadata.name.clone(),
            labels: object.metadata.labels.clone(),
            annotations: Some(annotations),
            finalizers: Some(vec![FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: object.spec.clone(),
        status: Some(status),
    }
}

fn secret(object: &ManagedAddOn, content: Vec<u8>) -> Secret {
    let mark = |key: &str, value: String| Some(BTreeMap::from([(key.to_owned(), value)]));
    Secret {
        metadata: ObjectMeta {
            name: Some(name(&object.name_any())),
            labels: mark(label::SUCCESSOR, "true".to_owned()),
            annotations: mark(PREDECESSOR, object.uid().unwrap_or_default()),
            ..ObjectMeta::default()
        },
        type_: Some(SECRET_TYPE.to_owned()),
        data: Some(BTreeMap::from([(CONTENT.to_owned(), ByteString(content))])),
        ..Secret::default()
    }
}

fn name(add_on: &str) -> String {
    format!("successor-{add_on}")
}

fn predecessor(secret: &Secret) -> Option<String> {
    secret.annotations().get(PREDECESSOR).cloned()
}

fn content(secret: &Secret) -> Option<ManagedAddOn> {
    serde_json::from_slice(&secret.data.as_ref()?.get(CONTENT)?.0).ok()
}

fn has_ledger(add_on: &ManagedAddOn) -> bool {
    add_on.status.as_ref().is_some_and(|status| status.rollout.is_some())
}
