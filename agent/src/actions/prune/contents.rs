//! Reads what a removal would take along: the contents of a namespace, the instances of a definition. What cannot be read
//! counts as foreign.

mod ignored;
mod owners;
mod stale_apis;

use std::time::Duration;

use kube::api::{Api, ListParams, ObjectList};
use kube::core::{DynamicObject, GroupVersionKind, PartialObjectMeta, Status};
use kube::discovery::{ApiResource, Discovery, Scope, verbs};
use lifecycle::plan::removal::Contents;
use lifecycle::{Fault, KnownKind, Object};
use serde_json::Value;
use tokio::time::sleep;

use crate::cluster::access::Access;
use crate::cluster::error;
use crate::cluster::living::{LivingObject, keep_mark};
use crate::cluster::ownership::is_ours;
use crate::cluster::resolved::ResolvedObject;

use ignored::{is_ignored, is_measured};
use owners::{Found, Item, Owner};
use stale_apis::stale_apis;

/// Maximum number of objects listed of one kind. Where there are more, the rest counts as foreign.
const MAX_LISTED: u32 = 500;

/// Time between attempts to list a kind that is not served for a moment.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Attempts, after which a kind counts as unreadable: an aggregated API may be down, or a conversion webhook gone, for good.
const MAX_ATTEMPTS: usize = 4;

/// Returns the foreign objects in a namespace or of a definition; none for other kinds.
pub async fn read(
    access: &Access,
    object: &ResolvedObject,
    living: &LivingObject,
) -> Result<Contents, Fault> {
    if object.manifest.is(KnownKind::Namespace) {
        read_namespace(access, object.name()).await
    } else if object.is_definition() {
        read_instances(access, living.content()).await
    } else {
        Ok(Contents::default())
    }
}

/// Counts the objects in a namespace that neither are this add-on's nor were created for one of its objects.
async fn read_namespace(access: &Access, namespace: &str) -> Result<Contents, Fault> {
    let agent = access.cluster.agent_client();
    let mut found = Found { unreadable: stale_apis(&agent).await?, ..Found::default() };
    let discovery = Discovery::new(agent).run_aggregated().await;
    let discovery = discovery.map_err(|e| error::to_fault("could not look up kinds", &e))?;
    for group in discovery.groups() {
        // Also the kinds that only versions have which their group does not prefer.
        for (resource, capabilities) in group.resources_by_stability() {
            if capabilities.scope == Scope::Namespaced
                && capabilities.supports_operation(verbs::LIST)
                && !is_measured(&resource.group)
            {
                let api = Api::namespaced_with(access.client.clone(), namespace, &resource);
                list(access, &api, &resource, &mut found).await?;
            }
        }
    }
    Ok(Contents { foreign: found.count_foreign(), unreadable: found.unreadable })
}

/// Counts the instances that are not this add-on's, also those with an owner. Only the living definition says which version is
/// served; if none is, there may be an instance.
async fn read_instances(access: &Access, definition: Option<&Object>) -> Result<Contents, Fault> {
    let Some(resource) = definition.and_then(served_resource) else {
        return Ok(Contents { unreadable: vec!["its objects".to_owned()], ..Contents::default() });
    };
    let api = Api::all_with(access.client.clone(), &resource);
    let mut found = Found::default();
    list(access, &api, &resource, &mut found).await?;
    let foreign = found.items.iter().filter(|item| !item.is_ours).count();
    Ok(Contents { foreign, unreadable: found.unreadable })
}

/// Returns how to list the instances of a definition: in the version in which they are stored, so that nothing has to be
/// converted by a webhook that may be gone. Otherwise in any version that is served.
fn served_resource(definition: &Object) -> Option<ApiResource> {
    let text = |pointer| definition.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let versions = definition.0.pointer("/spec/versions")?.as_array()?;
    let mut served = versions.iter().filter(|version| version["served"] == true);
    let stored = served.clone().find(|version| version["storage"] == true);
    let version = stored.or_else(|| served.next())?;
    let (group, kind) = (text("/spec/group"), text("/spec/names/kind"));
    let gvk = GroupVersionKind::gvk(group, version["name"].as_str()?, kind);
    Some(ApiResource::from_gvk_with_plural(&gvk, text("/spec/names/plural")))
}

/// Lists a kind, and adds it to those that are unreadable if that is not possible.
///
/// # Errors
/// A transient fault if the API server does not answer at all.
async fn list(
    access: &Access,
    api: &Api<DynamicObject>,
    resource: &ApiResource,
    found: &mut Found,
) -> Result<(), Fault> {
    let mut attempts = 1;
    loop {
        match api.list_metadata(&ListParams::default().limit(MAX_LISTED)).await {
            Ok(list) => {
                add_listed(access, resource, &list, found);
                return Ok(());
            }
            // It can only be got by name.
            Err(kube::Error::Api(status)) if status.code == 405 => return Ok(()),
            Err(kube::Error::Api(status)) if is_lasting(&status) || attempts == MAX_ATTEMPTS => {
                tracing::warn!(kind = resource.kind, cause = status.message, "cannot list a kind");
                found.unreadable.push(api_name(resource));
                return Ok(());
            }
            // A kind that is listed and not served for a moment may hold anything.
            Err(kube::Error::Api(_)) => attempts += 1,
            Err(error) => return Err(error::to_fault("could not list the contents", &error)),
        }
        sleep(RETRY_INTERVAL).await;
    }
}

fn is_lasting(status: &Status) -> bool {
    status.code == 403
}

/// The name of a kind for a message: `boxes.example.com`.
fn api_name(resource: &ApiResource) -> String {
    match resource.group.as_str() {
        "" => resource.plural.clone(),
        group => format!("{}.{group}", resource.plural),
    }
}

fn add_listed(
    access: &Access,
    resource: &ApiResource,
    list: &ObjectList<PartialObjectMeta<DynamicObject>>,
    found: &mut Found,
) {
    if list.metadata.continue_.as_ref().is_some_and(|token| !token.is_empty()) {
        found.unreadable.push(format!("more than {MAX_LISTED} {}", api_name(resource)));
    }
    let kind = KnownKind::find(&resource.group, &resource.kind);
    let is_claim = kind == Some(KnownKind::PersistentVolumeClaim);
    found.kinds.insert((resource.group.clone(), resource.kind.clone()));
    let name = |item: &PartialObjectMeta<DynamicObject>| item.metadata.name.clone();
    let items = list.items.iter().filter(|item| {
        !is_ignored(&resource.group, &resource.kind, &name(item).unwrap_or_default())
    });
    let items = items.filter(|item| !is_disappearing(item, is_claim));
    found.items.extend(items.map(|item| read_item(access, item, is_claim)));
}

/// Returns whether the object will be gone soon, ours or not. A claim may wait for its pod for ever.
fn is_disappearing(item: &PartialObjectMeta<DynamicObject>, is_claim: bool) -> bool {
    item.metadata.deletion_timestamp.is_some() && !is_claim
}

/// A claim holds data, and a marked object is to be kept: both count as foreign, even if they are ours.
fn read_item(access: &Access, item: &PartialObjectMeta<DynamicObject>, is_claim: bool) -> Item {
    let metadata = &item.metadata;
    let owners = metadata.owner_references.iter().flatten().filter(|_| !is_claim);
    Item {
        uid: metadata.uid.clone().unwrap_or_default(),
        owners: owners.map(Owner::from).collect(),
        is_ours: !is_claim && keep_mark(metadata).is_none() && is_ours(metadata, &access.add_on),
    }
}
