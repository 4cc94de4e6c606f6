//! What every action on an add-on's objects needs: the cluster, the account, and a bound on requests at once.

use std::collections::BTreeSet;
use std::future::Future;

use futures::StreamExt;
use kube::Client;
use kube::api::{Api, DeleteParams, ObjectMeta, Preconditions, PropagationPolicy};
use kube::core::{DynamicObject, PartialObjectMeta};
use lifecycle::names::{FIELD_MANAGER, label};
use lifecycle::{Fault, Object, Reason, ReleaseId, ServiceAccount};

use crate::cluster::error;
use crate::cluster::resolved::{ResolvedObject, unknown_kind};
use crate::cluster::{Cluster, Kind};

/// Requests at once for one add-on: enough to hide latency, few enough for a small API server.
pub const AT_ONCE: usize = 8;

/// Field managers told of one object.
const MOST_MANAGERS: usize = 5;

/// The add-on's rights and name.
pub struct Access<'a> {
    pub cluster: &'a Cluster,
    pub client: Client,
    pub add_on: &'a str,
    pub account: ServiceAccount,
    /// What last was available.
    pub available: Option<ReleaseId>,
}

impl<'a> Access<'a> {
    pub fn new(
        cluster: &'a Cluster,
        add_on: &'a str,
        account: &ServiceAccount,
        available: Option<&ReleaseId>,
    ) -> Result<Self, Fault> {
        let client = cluster
            .as_account(account)
            .map_err(|e| error::to_fault("no client for the service account", &e))?;
        let (account, available) = (account.clone(), available.cloned());
        Ok(Self { cluster, client, add_on, account, available })
    }

    /// The object's API, its kind looked up anew if it was unknown before.
    pub async fn api(&self, placed: &ResolvedObject) -> Result<(Kind, Api<DynamicObject>), Fault> {
        let kind = match &placed.kind {
            Some(kind) => kind.clone(),
            None => self.look_up(&placed.object).await?,
        };
        let api = kind.api(self.client.clone(), placed.object.namespace());
        Ok((kind, api))
    }

    async fn look_up(&self, object: &Object) -> Result<Kind, Fault> {
        self.cluster.kind(object).await.map_err(|error| {
            if error::is_unknown_kind(&error) {
                unknown_kind(object)
            } else {
                error::to_object_fault(&object.key(), &error)
            }
        })
    }

    /// The living object, whole.
    pub async fn whole(&self, placed: &ResolvedObject) -> Result<Option<Object>, Fault> {
        let (_, api) = self.api(placed).await?;
        let found = api.get_opt(placed.object.name()).await;
        let found = found.map_err(|e| error::to_object_fault(&placed.object.key(), &e))?;
        Ok(found.map(|living| Object(serde_json::to_value(living).unwrap_or_default())))
    }

    /// What the living object says of itself; `None` when there is none.
    pub async fn living(&self, placed: &ResolvedObject) -> Result<Option<Living>, Fault> {
        let (_, api) = self.api(placed).await?;
        let (object, name) = (&placed.object, placed.object.name());
        match api.get_metadata(name).await {
            Ok(found) => Ok(Some(Living(found))),
            Err(error) if error::is_absent(&error, name) => Ok(None),
            Err(error) if error::is_not_found(&error) => {
                self.cluster.forget(object.api_version(), object.kind());
                match self.look_up(object).await {
                    Err(fault) if fault.reason == Reason::UnknownKind => {
                        self.is_nowhere(object).await
                    }
                    Err(fault) => Err(fault),
                    Ok(_) => Err(Fault {
                        transient: true,
                        ..error::to_object_fault(&object.key(), &error)
                    }),
                }
            }
            Err(error) => Err(error::to_object_fault(&object.key(), &error)),
        }
    }

    /// Without its definition there is no object; one whose version alone ceased to be served is to be looked up again.
    async fn is_nowhere(&self, object: &Object) -> Result<Option<Living>, Fault> {
        let key = object.key();
        match self.cluster.kind_of_any_version(object).await {
            Ok(None) => Ok(None),
            Ok(Some(_)) => {
                let message = format!("{key}: {} is not served any more", object.api_version());
                Err(Fault::transient(Reason::UnknownKind, message))
            }
            Err(error) => Err(error::to_object_fault(&key, &error)),
        }
    }
}

/// Whether it is the add-on's and an agent wrote it: whoever makes one object of another may copy its labels.
pub fn is_ours(metadata: &ObjectMeta, add_on: &str) -> bool {
    let labels = metadata.labels.as_ref();
    let managers = metadata.managed_fields.iter().flatten();
    labels.and_then(|labels| labels.get(label::ADD_ON)).is_some_and(|owner| owner == add_on)
        && managers.into_iter().any(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER))
}

/// Metadata of a living object.
pub struct Living(pub PartialObjectMeta<DynamicObject>);

impl Living {
    pub fn owner(&self) -> Option<&str> {
        self.label(label::ADD_ON)
    }

    /// Which of the add-on's releases wrote it last.
    pub fn release(&self) -> Option<&str> {
        self.label(label::RELEASE)
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.0.metadata.labels.as_ref()?.get(name).map(String::as_str)
    }

    /// The mark of a release that took it over and was not available yet.
    pub fn taken_over_by(&self) -> Option<&str> {
        let annotations = self.0.metadata.annotations.as_ref()?;
        annotations.get(lifecycle::names::annotation::TAKEN_OVER_BY).map(String::as_str)
    }

    /// Who writes it, as far as field managers say: ` (managed by helm, kubectl)`.
    pub fn managers(&self) -> String {
        let entries = self.0.metadata.managed_fields.iter().flatten();
        let managers: BTreeSet<&str> = entries
            .filter(|entry| entry.subresource.as_deref().is_none_or(str::is_empty))
            .filter_map(|entry| entry.manager.as_deref())
            .filter(|manager| *manager != FIELD_MANAGER)
            .take(MOST_MANAGERS)
            .collect();
        match managers.is_empty() {
            true => String::new(),
            false => {
                format!(" (managed by {})", managers.into_iter().collect::<Vec<_>>().join(", "))
            }
        }
    }

    pub fn uid(&self) -> Option<String> {
        self.0.metadata.uid.clone()
    }
}

/// Deletes the object of that name if it still has this UID; one that is gone already is no error.
pub async fn delete(
    api: &Api<DynamicObject>,
    name: &str,
    uid: Option<String>,
    propagation_policy: Option<PropagationPolicy>,
) -> kube::Result<()> {
    let preconditions = Some(Preconditions { uid, ..Preconditions::default() });
    let params = DeleteParams { preconditions, propagation_policy, ..DeleteParams::default() };
    match api.delete(name, &params).await {
        Err(error) if !error::is_not_found(&error) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Waits for many, some at once; results in their order.
pub async fn each<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let futures: Vec<F> = futures.into_iter().collect();
    futures::stream::iter(futures).buffered(AT_ONCE).collect().await
}
