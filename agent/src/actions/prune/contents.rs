//! Looks into what a removal would take with it: a namespace's contents, a definition's instances. What cannot be
//! told counts as another's.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, ListParams};
use kube::core::{DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube::discovery::{ApiResource, Discovery, Scope, verbs};
use lifecycle::plan::Contents;
use lifecycle::{Fault, Reason};
use serde_json::Value;

use crate::cluster::access::{Access, is_ours};
use crate::cluster::error;
use crate::cluster::resolved::ResolvedObject;

/// Kubernetes puts these into every namespace, or they only tell what happened there.
const OF_NOBODY: [(&str, Option<&str>); 7] = [
    ("ConfigMap", Some("kube-root-ca.crt")),
    // OpenShift's.
    ("ConfigMap", Some("openshift-service-ca.crt")),
    ("ServiceAccount", Some("default")),
    ("Event", None),
    // A Service's, deleted some time after it.
    ("Endpoints", None),
    ("EndpointSlice", None),
    ("PodMetrics", None),
];

/// Listed of one kind; where there are more, the rest counts as another's.
const MOST: u32 = 500;

pub async fn look(access: &Access<'_>, placed: &ResolvedObject) -> Result<Contents, Fault> {
    let others = match placed.object.kind() {
        "Namespace" => in_namespace(access, placed.object.name()).await?,
        "CustomResourceDefinition" => instances(access, placed).await?,
        _ => 0,
    };
    Ok(Contents { others })
}

/// Counts everything in a namespace that neither is this add-on's nor was made for it.
async fn in_namespace(access: &Access<'_>, namespace: &str) -> Result<usize, Fault> {
    let failed = |e: &kube::Error| error::to_fault("kinds could not be looked up", e);
    let known =
        Discovery::new(access.cluster.own()).run_aggregated().await.map_err(|e| failed(&e))?;
    let mut found = Found::default();
    for group in known.groups() {
        // Also those that only versions have which their group does not prefer.
        for (resource, capabilities) in group.resources_by_stability() {
            if capabilities.scope == Scope::Namespaced
                && capabilities.supports_operation(verbs::LIST)
            {
                let api = Api::namespaced_with(access.client.clone(), namespace, &resource);
                list(access, &api, &resource, &mut found).await?;
            }
        }
    }
    Ok(found.others())
}

/// Counts the instances that are not this add-on's, whoever owns them. Only the living definition knows what is served.
async fn instances(access: &Access<'_>, placed: &ResolvedObject) -> Result<usize, Fault> {
    let (_, api) = access.api(placed).await?;
    let living = api.get(placed.object.name()).await;
    let living = living.map_err(|e| error::to_object_fault(&placed.object.key(), &e))?.data;
    let text = |pointer| living.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let versions = living.pointer("/spec/versions").and_then(Value::as_array);
    let mut served = versions.into_iter().flatten().filter(|version| version["served"] == true);
    let Some(version) = served.next().and_then(|version| version["name"].as_str()) else {
        return Ok(1);
    };
    let gvk = GroupVersionKind::gvk(text("/spec/group"), version, text("/spec/names/kind"));
    let resource = ApiResource::from_gvk_with_plural(&gvk, text("/spec/names/plural"));
    let mut found = Found::default();
    list(access, &Api::all_with(access.client.clone(), &resource), &resource, &mut found).await?;
    let ours = found.items.iter().filter(|item| item.ours).count();
    Ok(found.items.len() - ours + found.unknown)
}

/// What was listed.
#[derive(Default)]
struct Found {
    items: Vec<Item>,
    /// Group and kind of what was listed.
    kinds: BTreeSet<(String, String)>,
    /// Kinds or rests of kinds that could not be listed.
    unknown: usize,
}

struct Item {
    uid: String,
    owners: Vec<Owner>,
    ours: bool,
}

struct Owner {
    uid: String,
    /// Group and kind.
    kind: (String, String),
}

impl Owner {
    fn read(reference: &OwnerReference) -> Self {
        let group = reference.api_version.split_once('/').map_or("", |(group, _)| group);
        Self { uid: reference.uid.clone(), kind: (group.to_owned(), reference.kind.clone()) }
    }
}

impl Found {
    /// What no chain of owners leads from to something of ours, or to something that is gone.
    fn others(&self) -> usize {
        let here: BTreeSet<&str> = self.items.iter().map(|item| item.uid.as_str()).collect();
        let mut ours: BTreeSet<&str> = BTreeSet::new();
        loop {
            let more = self.items.iter().filter(|item| {
                item.ours
                    || self.is_left_behind(item, &here)
                    || item.owners.iter().any(|owner| ours.contains(owner.uid.as_str()))
            });
            let more: BTreeSet<&str> = more.map(|item| item.uid.as_str()).collect();
            if more.len() == ours.len() {
                return self.items.len() - more.len() + self.unknown;
            }
            ours = more;
        }
    }

    /// Its owners are gone, as is a Deployment that was just deleted: Kubernetes collects it in a moment. Of a kind that
    /// was not listed an owner may be anywhere.
    fn is_left_behind(&self, item: &Item, here: &BTreeSet<&str>) -> bool {
        let is_gone =
            |owner: &Owner| self.kinds.contains(&owner.kind) && !here.contains(owner.uid.as_str());
        !item.owners.is_empty() && item.owners.iter().all(is_gone)
    }
}

async fn list(
    access: &Access<'_>,
    api: &Api<DynamicObject>,
    resource: &ApiResource,
    found: &mut Found,
) -> Result<(), Fault> {
    match api.list_metadata(&ListParams::default().limit(MOST)).await {
        Ok(list) => {
            let more = list.metadata.continue_.is_some_and(|token| !token.is_empty());
            found.unknown += usize::from(more);
            found.kinds.insert((resource.group.clone(), resource.kind.clone()));
            let items = list.items.iter().filter(|item| !is_of_nobody(item, &resource.kind));
            let items = items.filter(|item| !is_going(item, &resource.kind));
            found.items.extend(items.map(|item| read(access, item, &resource.kind)));
            Ok(())
        }
        // A kind that is said to be served and is not may hold anything: it is asked again.
        Err(error) if error::is_not_found(&error) => {
            let message = format!("{} are not served for a moment", resource.plural);
            Err(Fault::transient(Reason::CheckFailed, message))
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            found.unknown += 1;
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 405 => Ok(()),
        Err(error) => Err(error::to_fault("its contents could not be listed", &error)),
    }
}

fn is_of_nobody(item: &PartialObjectMeta<DynamicObject>, kind: &str) -> bool {
    OF_NOBODY.iter().any(|(known, name)| {
        *known == kind && name.is_none_or(|name| item.metadata.name.as_deref() == Some(name))
    })
}

/// It goes whoever it belongs to. A claim may go on waiting for its pod.
fn is_going(item: &PartialObjectMeta<DynamicObject>, kind: &str) -> bool {
    item.metadata.deletion_timestamp.is_some() && kind != "PersistentVolumeClaim"
}

/// A claim holds data, whoever made it.
fn read(access: &Access<'_>, item: &PartialObjectMeta<DynamicObject>, kind: &str) -> Item {
    let metadata = &item.metadata;
    let is_claim = kind == "PersistentVolumeClaim";
    let owners = metadata.owner_references.iter().flatten().filter(|_| !is_claim);
    Item {
        uid: metadata.uid.clone().unwrap_or_default(),
        owners: owners.map(Owner::read).collect(),
        ours: !is_claim && is_ours(metadata, access.add_on),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: (&str, &str) = ("apps", "Deployment");

    fn item(uid: &str, owner: Option<&str>, ours: bool) -> Item {
        let kind = (LISTED.0.to_owned(), LISTED.1.to_owned());
        let owners = owner.map(|uid| Owner { uid: uid.to_owned(), kind });
        Item { uid: uid.to_owned(), owners: owners.into_iter().collect(), ours }
    }

    fn found(items: Vec<Item>) -> Found {
        let kinds = BTreeSet::from([(LISTED.0.to_owned(), LISTED.1.to_owned())]);
        Found { items, kinds, unknown: 0 }
    }

    #[test]
    fn what_was_made_for_ours_is_ours_and_what_was_made_for_others_is_theirs() {
        let items = vec![
            item("pod", Some("replica-set"), false),
            item("replica-set", Some("deployment"), false),
            item("deployment", None, true),
            item("theirs", None, false),
            item("made-for-theirs", Some("theirs"), false),
        ];
        assert_eq!(Found { unknown: 1, ..found(items) }.others(), 3);
    }

    #[test]
    fn what_is_left_of_what_was_just_deleted_is_nobodys() {
        let items = || {
            vec![item("pod", Some("replica-set"), false), item("replica-set", Some("gone"), false)]
        };
        assert_eq!(found(items()).others(), 0);
        // An owner of a kind that was not listed, such as one without a namespace, may be there.
        assert_eq!(Found { kinds: BTreeSet::new(), ..found(items()) }.others(), 2);
    }
}
