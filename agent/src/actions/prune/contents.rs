//! Reads what a removal would take along: the contents of a namespace, the instances of a definition. What cannot be read
//! counts as foreign.

mod owners;

use kube::api::{Api, ListParams, ObjectMeta};
use kube::core::{DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube::discovery::{ApiResource, Discovery, Scope, verbs};
use lifecycle::ownership::keep_marks;
use lifecycle::plan::removal::Contents;
use lifecycle::{Fault, KnownKind, Object, Reason};
use serde_json::Value;

use crate::cluster::access::Access;
use crate::cluster::error;
use crate::cluster::living::LivingObject;
use crate::cluster::ownership::is_ours;
use crate::cluster::resolved::ResolvedObject;

use owners::{Found, Item, Owner};

/// Kind and name of what Kubernetes creates in every namespace, and of kinds that only report what happened there.
const IGNORED: [(&str, Option<&str>); 7] = [
    ("ConfigMap", Some("kube-root-ca.crt")),
    // OpenShift's.
    ("ConfigMap", Some("openshift-service-ca.crt")),
    ("ServiceAccount", Some("default")),
    ("Event", None),
    // Those of a Service are deleted some time after it.
    ("Endpoints", None),
    ("EndpointSlice", None),
    ("PodMetrics", None),
];

/// Maximum number of objects listed of one kind. Where there are more, the rest counts as foreign.
const MAX_LISTED: u32 = 500;

/// Counts the foreign objects in a namespace or of a definition; none for other kinds.
pub async fn read(
    access: &Access,
    object: &ResolvedObject,
    living: &LivingObject,
) -> Result<Contents, Fault> {
    let foreign = if object.manifest.is(KnownKind::Namespace) {
        count_in_namespace(access, object.name()).await?
    } else if object.is_definition() {
        count_instances(access, living.content()).await?
    } else {
        0
    };
    Ok(Contents { foreign })
}

/// Counts the objects in a namespace that neither are this add-on's nor were created for one of its objects.
async fn count_in_namespace(access: &Access, namespace: &str) -> Result<usize, Fault> {
    let discovery = Discovery::new(access.cluster.agent_client()).run_aggregated().await;
    let discovery = discovery.map_err(|e| error::to_fault("could not look up kinds", &e))?;
    let mut found = Found::default();
    for group in discovery.groups() {
        // Also the kinds that only versions have which their group does not prefer.
        for (resource, capabilities) in group.resources_by_stability() {
            if capabilities.scope == Scope::Namespaced
                && capabilities.supports_operation(verbs::LIST)
            {
                let api = Api::namespaced_with(access.client.clone(), namespace, &resource);
                list(access, &api, &resource, &mut found).await?;
            }
        }
    }
    Ok(found.count_foreign())
}

/// Counts the instances that are not this add-on's, also those with an owner. Only the living definition says which version is
/// served; if none is, there may be an instance.
async fn count_instances(access: &Access, definition: Option<&Object>) -> Result<usize, Fault> {
    let Some(resource) = definition.and_then(served_resource) else { return Ok(1) };
    let api = Api::all_with(access.client.clone(), &resource);
    let mut found = Found::default();
    list(access, &api, &resource, &mut found).await?;
    let ours = found.items.iter().filter(|item| item.is_ours).count();
    Ok(found.items.len() - ours + found.unknown)
}

fn served_resource(definition: &Object) -> Option<ApiResource> {
    let text = |pointer| definition.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let versions = definition.0.pointer("/spec/versions")?.as_array()?;
    let version = versions.iter().find(|version| version["served"] == true)?;
    let (group, kind) = (text("/spec/group"), text("/spec/names/kind"));
    let gvk = GroupVersionKind::gvk(group, version["name"].as_str()?, kind);
    Some(ApiResource::from_gvk_with_plural(&gvk, text("/spec/names/plural")))
}

async fn list(
    access: &Access,
    api: &Api<DynamicObject>,
    resource: &ApiResource,
    found: &mut Found,
) -> Result<(), Fault> {
    match api.list_metadata(&ListParams::default().limit(MAX_LISTED)).await {
        Ok(list) => {
            let has_more = list.metadata.continue_.is_some_and(|token| !token.is_empty());
            found.unknown += usize::from(has_more);
            let kind = KnownKind::find(&resource.group, &resource.kind);
            let is_claim = kind == Some(KnownKind::PersistentVolumeClaim);
            found.kinds.insert((resource.group.clone(), resource.kind.clone()));
            let items = list.items.iter().filter(|item| !is_ignored(item, &resource.kind));
            let items = items.filter(|item| !is_disappearing(item, is_claim));
            found.items.extend(items.map(|item| read_item(access, item, is_claim)));
            Ok(())
        }
        // A kind that is listed and not served may hold anything, so the removal is retried.
        Err(error) if error::is_not_found(&error) => {
            let message = format!("{} are not served for a moment", resource.plural);
            Err(Fault::transient(Reason::CheckFailed, message))
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            found.unknown += 1;
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 405 => Ok(()),
        Err(error) => Err(error::to_fault("could not list the contents", &error)),
    }
}

fn is_ignored(item: &PartialObjectMeta<DynamicObject>, kind: &str) -> bool {
    IGNORED.iter().any(|(ignored, name)| {
        *ignored == kind && name.is_none_or(|name| item.metadata.name.as_deref() == Some(name))
    })
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
        is_ours: !is_claim && !is_marked(metadata) && is_ours(metadata, &access.add_on),
    }
}

fn is_marked(metadata: &ObjectMeta) -> bool {
    let annotations = metadata.annotations.as_ref();
    keep_marks::keep_reason(|name| annotations?.get(name).map(String::as_str)).is_some()
}
