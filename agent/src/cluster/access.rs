//! The access of an add-on to the cluster: what it may do, how its objects are read, and a bound on concurrent requests.

use std::future::Future;

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::Client;
use kube::api::{
    Api, DeleteParams, ObjectMeta, Patch, PatchParams, Preconditions, PropagationPolicy,
};
use kube::core::DynamicObject;
use lifecycle::{Fault, Object, Reason, ReleaseId, ServiceAccount};
use serde_json::json;

use crate::cluster::Cluster;
use crate::cluster::error;
use crate::cluster::kinds::Kind;
use crate::cluster::living::{LivingObject, to_object};
use crate::cluster::resolved::{ResolvedObject, unknown_kind};

/// Concurrent requests for one add-on: enough to hide latency, few enough for a small API server.
pub const MAX_REQUESTS: usize = 8;

/// The name and the rights of an add-on.
pub struct Access {
    pub cluster: Cluster,
    /// Impersonates `account`.
    pub client: Client,
    pub add_on: String,
    pub account: ServiceAccount,
    /// The release that was available last.
    pub available: Option<ReleaseId>,
}

impl Access {
    pub fn new(
        cluster: &Cluster,
        add_on: &str,
        account: &ServiceAccount,
        available: Option<&ReleaseId>,
    ) -> Result<Self, Fault> {
        let client = cluster.account_client(account);
        Ok(Self {
            client: client.map_err(|e| error::to_fault("no client for the service account", &e))?,
            cluster: cluster.clone(),
            add_on: add_on.to_owned(),
            account: account.clone(),
            available: available.cloned(),
        })
    }

    /// Returns whether the API server answers, if only with a refusal.
    pub async fn is_answered(&self) -> bool {
        let version = self.cluster.agent_client().apiserver_version().await;
        matches!(version, Ok(_) | Err(kube::Error::Api(_)))
    }

    /// Returns the API of an object. A kind that was unknown before is looked up again.
    pub async fn api(&self, object: &ResolvedObject) -> Result<Api<DynamicObject>, Fault> {
        let kind = match &object.kind {
            Some(kind) => kind.clone(),
            None => self.look_up(&object.manifest).await?,
        };
        Ok(kind.api(self.client.clone(), object.manifest.namespace()))
    }

    /// Returns the whole living object for a look at its health; `None` for every 404.
    pub async fn get(&self, object: &ResolvedObject) -> Result<Option<Object>, Fault> {
        let found = self.api(object).await?.get_opt(object.name()).await;
        let found = found.map_err(|e| error::to_object_fault(&object.key(), &e))?;
        Ok(found.map(to_object))
    }

    /// Reads the whole living object.
    ///
    /// # Errors
    /// A transient fault where the object may exist although the API server answers 404: its kind is not served for a
    /// moment, or not in this version.
    pub async fn read(&self, object: &ResolvedObject) -> Result<Option<LivingObject>, Fault> {
        let found = self.api(object).await?.get(object.name()).await;
        self.interpret(object, found.map(LivingObject::from)).await
    }

    /// As [`Access::read`], but only the metadata.
    pub async fn read_metadata(
        &self,
        object: &ResolvedObject,
    ) -> Result<Option<LivingObject>, Fault> {
        let found = self.api(object).await?.get_metadata(object.name()).await;
        self.interpret(object, found.map(LivingObject::from)).await
    }

    /// Sets who owns the fields of a living object, and returns its metadata after that. Refused if the object changed since
    /// it was read.
    pub async fn set_managed_fields(
        &self,
        object: &ResolvedObject,
        living: &LivingObject,
        entries: &[ManagedFieldsEntry],
    ) -> Result<ObjectMeta, Fault> {
        let patch = json!({"metadata": {
            "resourceVersion": living.metadata.resource_version,
            "managedFields": entries,
        }});
        let (api, params) = (self.api(object).await?, PatchParams::default());
        let patched = api.patch_metadata(object.name(), &params, &Patch::Merge(patch)).await;
        let patched = patched.map_err(|e| error::to_object_fault(&object.key(), &e))?;
        Ok(patched.metadata)
    }

    async fn interpret(
        &self,
        object: &ResolvedObject,
        found: kube::Result<LivingObject>,
    ) -> Result<Option<LivingObject>, Fault> {
        let error = match found {
            Ok(living) => return Ok(Some(living)),
            Err(error) if error::is_absent(&error, object.name()) => return Ok(None),
            Err(error) => error,
        };
        let fault = error::to_object_fault(&object.key(), &error);
        if !error::is_not_found(&error) {
            return Err(fault);
        }
        let manifest = &object.manifest;
        self.cluster.kinds().forget(manifest.api_version(), manifest.kind());
        match self.look_up(manifest).await {
            Ok(_) => Err(Fault { transient: true, ..fault }),
            Err(fault) if fault.reason == Reason::UnknownKind => self.confirm_absent(object).await,
            Err(fault) => Err(fault),
        }
    }

    /// Without its definition there is no object. If only its version is not served any more, the object may exist.
    async fn confirm_absent(&self, object: &ResolvedObject) -> Result<Option<LivingObject>, Fault> {
        let key = object.key();
        match self.cluster.kinds().get_any_version(&object.manifest).await {
            Ok(None) => Ok(None),
            Ok(Some(_)) => {
                let api_version = object.manifest.api_version();
                let message = format!("{key}: {api_version} is not served any more");
                Err(Fault::transient(Reason::UnknownKind, message))
            }
            Err(error) => Err(error::to_object_fault(&key, &error)),
        }
    }

    async fn look_up(&self, manifest: &Object) -> Result<Kind, Fault> {
        self.cluster.kinds().get(manifest).await.map_err(|error| {
            if error::is_unknown_kind(&error) {
                unknown_kind(manifest)
            } else {
                error::to_object_fault(&manifest.key(), &error)
            }
        })
    }
}

/// Deletes the object of this name if it still has this UID. A missing object is no error.
pub async fn delete_by_uid(
    api: &Api<DynamicObject>,
    name: &str,
    uid: Option<&str>,
    propagation_policy: Option<PropagationPolicy>,
) -> kube::Result<()> {
    let preconditions = Preconditions { uid: uid.map(str::to_owned), ..Preconditions::default() };
    let preconditions = Some(preconditions);
    let params = DeleteParams { preconditions, propagation_policy, ..DeleteParams::default() };
    match api.delete(name, &params).await {
        Err(error) if !error::is_not_found(&error) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Waits for all futures, [`MAX_REQUESTS`] at a time. The results are in the order of the futures.
pub fn join_bounded<F: Future>(
    futures: impl IntoIterator<Item = F>,
) -> impl Future<Output = Vec<F::Output>> {
    let futures: Vec<F> = futures.into_iter().collect();
    futures::stream::iter(futures).buffered(MAX_REQUESTS).collect()
}
