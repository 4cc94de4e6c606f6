//! Looks into what a removal would take with it: a namespace's contents, a definition's instances.

use kube::api::{Api, ListParams};
use kube::core::{DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube::discovery::{ApiResource, Discovery, Scope, verbs};
use lifecycle::names::label;
use lifecycle::plan::Holds;
use lifecycle::{Fault, Object, Reason};

use crate::faults;
use crate::placed::Placed;
use crate::work::Work;

/// Kubernetes puts these into every namespace, or they only tell what happened there.
const OF_NOBODY: [(&str, Option<&str>); 5] = [
    ("ConfigMap", Some("kube-root-ca.crt")),
    ("ServiceAccount", Some("default")),
    ("Event", None),
    ("EndpointSlice", None),
    ("PodMetrics", None),
];

pub async fn look(work: &Work<'_>, placed: &Placed) -> Result<Holds, Fault> {
    let others = match placed.object.kind() {
        "Namespace" => in_namespace(work, placed.object.name()).await?,
        "CustomResourceDefinition" => instances(work, &placed.object).await?,
        _ => 0,
    };
    Ok(Holds { others })
}

/// Counts everything in a namespace that is not this add-on's; what may not be listed counts as one.
async fn in_namespace(work: &Work<'_>, namespace: &str) -> Result<usize, Fault> {
    let failed = |e: &kube::Error| faults::of("kinds could not be looked up", e);
    let known =
        Discovery::new(work.cluster.own()).run_aggregated().await.map_err(|e| failed(&e))?;
    let mut others = 0;
    for group in known.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            if capabilities.scope == Scope::Namespaced
                && capabilities.supports_operation(verbs::LIST)
            {
                let api = Api::namespaced_with(work.client.clone(), namespace, &resource);
                // A kind that is said to be served and is not may hold anything: it is asked again.
                let counted = count(work, &api, &resource).await?;
                others += counted.ok_or_else(|| unserved(&resource))?;
            }
        }
    }
    Ok(others)
}

fn unserved(resource: &ApiResource) -> Fault {
    Fault::passing(Reason::CheckFailed, format!("{} are not served for a moment", resource.plural))
}

async fn instances(work: &Work<'_>, definition: &Object) -> Result<usize, Fault> {
    let versions = definition.0.pointer("/spec/versions").and_then(|v| v.as_array());
    let mut served = versions.into_iter().flatten().filter(|version| version["served"] == true);
    let version = served.next().and_then(|version| version["name"].as_str()).unwrap_or_default();
    let text = |pointer| definition.0.pointer(pointer).and_then(|v| v.as_str()).unwrap_or_default();
    let gvk = GroupVersionKind::gvk(text("/spec/group"), version, text("/spec/names/kind"));
    let resource = ApiResource::from_gvk_with_plural(&gvk, text("/spec/names/plural"));
    let counted = count(work, &Api::all_with(work.client.clone(), &resource), &resource).await?;
    Ok(counted.unwrap_or(0))
}

/// `None` where the kind is not served.
async fn count(
    work: &Work<'_>,
    api: &Api<DynamicObject>,
    resource: &ApiResource,
) -> Result<Option<usize>, Fault> {
    match api.list_metadata(&ListParams::default().limit(500)).await {
        Ok(list) => {
            Ok(Some(list.items.iter().filter(|item| is_others(work, item, &resource.kind)).count()))
        }
        Err(error) if faults::is_gone(&error) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Some(1)),
        Err(kube::Error::Api(status)) if status.code == 405 => Ok(Some(0)),
        Err(error) => Err(faults::of("its contents could not be listed", &error)),
    }
}

/// What controllers made for our objects, and what Kubernetes makes for every namespace, are nobody's. A claim holds
/// data whoever made it.
fn is_others(work: &Work<'_>, item: &PartialObjectMeta<DynamicObject>, kind: &str) -> bool {
    if kind == "PersistentVolumeClaim" {
        return true;
    }
    let metadata = &item.metadata;
    let ours = metadata.labels.as_ref().and_then(|labels| labels.get(label::ADD_ON));
    let made_for = metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty());
    let of_nobody = OF_NOBODY.iter().any(|(known, name)| {
        *known == kind && name.is_none_or(|name| metadata.name.as_deref() == Some(name))
    });
    !(ours.is_some_and(|ours| ours == work.add_on) || made_for || of_nobody)
}
