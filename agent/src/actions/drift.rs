//! Puts back what others changed or deleted of a release at rest. Looking costs a list of metadata per kind; only what
//! changed since the last look is written.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::ListParams;
use lifecycle::at_rest::{ForeignFields, Repairs, find_foreign_fields};
use lifecycle::bundle::ignored_fields;
use lifecycle::names::label;
use lifecycle::plan::{Wave, is_job};
use lifecycle::{Fault, ObjectKey, Rollout};

use crate::actions::apply::{marked, write};
use crate::actions::check::owned;
use crate::cluster::access::{Access, each};
use crate::cluster::crd_instances;
use crate::cluster::error;
use crate::cluster::resolved::ResolvedObject;

/// The resourceVersion that each object had when it was last as its release says.
pub type Known = BTreeMap<ObjectKey, String>;

type Living = BTreeMap<ObjectKey, Metadata>;

/// Of a living object.
struct Metadata {
    version: String,
    managed: Vec<ManagedFieldsEntry>,
}

/// Returns what was changed. `known` is empty after a restart: then everything is written once, which
/// changes nothing where nothing had changed. What going back had to leave as it is stays so.
pub async fn repair(
    access: &Access<'_>,
    release: &[ResolvedObject],
    rollout: &Rollout,
    known: &mut Known,
) -> Repairs {
    let mut repairs = Repairs::default();
    let mut unseen = known.clone();
    // In the order of applying: what others stand on is there first.
    for &stage in Wave::ALL {
        let of_stage = release.iter().filter(|placed| placed.stage() == stage);
        for (places, living) in look(access, of_stage).await {
            let Some(living) = living else {
                repairs.is_incomplete = true;
                continue;
            };
            for placed in &places {
                let key = placed.object.key();
                unseen.remove(&key);
                let added = beside(placed, release, living.get(&key));
                repairs.foreign_fields.insert(key, added);
            }
            let (left, places): (Vec<&ResolvedObject>, Vec<&ResolvedObject>) =
                places.iter().partition(|placed| is_left(&placed.object.key(), &living, rollout));
            note(&left, &living, known);
            match places.iter().any(|placed| is_job(&placed.object)) {
                true => note(&places, &living, known),
                false => put_back(access, release, &places, &living, known, &mut repairs).await,
            }
        }
    }
    known.retain(|key, _| !unseen.contains_key(key));
    repairs
}

/// What others added to an object.
fn beside(
    placed: &ResolvedObject,
    release: &[ResolvedObject],
    living: Option<&Metadata>,
) -> Vec<ForeignFields> {
    let Some(living) = living else { return Vec::new() };
    let object = &placed.object;
    let shared = ignored_fields::pointers(object, release.iter().map(|other| &other.object));
    find_foreign_fields(object, &shared, &living.managed)
}

/// What is gone altogether can be put back.
fn is_left(key: &ObjectKey, living: &Living, rollout: &Rollout) -> bool {
    living.contains_key(key) && rollout.is_kept(key)
}

/// Remembers what lives of these and writes none: a Job runs once, so one that finished and went away is no drift, and
/// what going back left as it was stays so.
fn note(objects: &[&ResolvedObject], living: &Living, known: &mut Known) {
    for key in objects.iter().map(|placed| placed.object.key()) {
        match living.get(&key) {
            Some(living) => _ = known.insert(key, living.version.clone()),
            None => _ = known.remove(&key),
        }
    }
}

/// What cannot be put back now is told and looked at again; it holds up nothing else.
async fn put_back(
    access: &Access<'_>,
    release: &[ResolvedObject],
    places: &[&ResolvedObject],
    living: &Living,
    known: &mut Known,
    repairs: &mut Repairs,
) {
    let seen = |key: &ObjectKey| living.get(key).map(|living| &living.version);
    let changed = places.iter().filter(|placed| {
        let key = placed.object.key();
        !living.contains_key(&key) || seen(&key) != known.get(&key)
    });
    let written = each(changed.map(|placed| async {
        // Only another add-on's mark makes an object another's: a mark that was taken off is drift.
        let written = match may_put_back(access, placed).await {
            Ok(marked) => write(access, &marked, release).await,
            Err(fault) => Err(fault),
        };
        (placed.object.key(), written)
    }));
    for (key, written) in written.await {
        match written {
            Ok(Some(version)) => {
                if seen(&key) != Some(&version) {
                    tracing::info!(object = %key, "put back as its version says");
                    repairs.restored.push(key.clone());
                }
                known.insert(key, version);
            }
            Ok(None) => repairs.restored.push(key),
            Err(fault) => {
                tracing::warn!(object = %key, cause = fault.message, "not put back");
                known.remove(&key);
                repairs.failed.push((key, fault.message));
            }
        }
    }
}

/// A definition that a rollback had to leave as it is stays so.
async fn may_put_back<'a>(
    access: &Access<'_>,
    placed: &'a ResolvedObject,
) -> Result<Cow<'a, ResolvedObject>, Fault> {
    let living = owned(access, placed, true).await?;
    crd_instances::refuse_harm(access, placed).await?;
    Ok(marked(access, placed, living.as_ref()))
}

/// The objects of each kind and place, with what lives there, if that could be listed.
async fn look<'a>(
    access: &Access<'_>,
    objects: impl Iterator<Item = &'a ResolvedObject>,
) -> Vec<(Vec<&'a ResolvedObject>, Option<Living>)> {
    let mut places: BTreeMap<_, Vec<&ResolvedObject>> = BTreeMap::new();
    for placed in objects {
        let object = &placed.object;
        let place = (object.api_version(), object.kind(), object.namespace());
        places.entry(place).or_default().push(placed);
    }
    let listed = places.into_values().map(|place| async { (list(access, place[0]).await, place) });
    let seen = each(listed).await.into_iter().map(|(living, place)| match living {
        Ok(living) => (place, Some(living)),
        Err(fault) => {
            tracing::warn!(cause = fault.message, "drift cannot be seen");
            (place, None)
        }
    });
    seen.collect()
}

/// All of ours of one kind in one place.
async fn list(access: &Access<'_>, placed: &ResolvedObject) -> Result<Living, Fault> {
    let (kind, api) = access.api(placed).await?;
    let ours = ListParams::default().labels(&format!("{}={}", label::ADD_ON, access.add_on));
    let found = match api.list_metadata(&ours).await {
        Ok(found) => found.items,
        // Its definition is gone, and with it all of them; it is looked up anew once it is back.
        Err(error) if error::is_not_found(&error) => {
            access.cluster.forget(placed.object.api_version(), placed.object.kind());
            Vec::new()
        }
        Err(error) => {
            let what = format!("{} could not be listed", kind.resource.plural);
            return Err(error::to_fault(&what, &error));
        }
    };
    let named = found.into_iter().filter_map(|item| {
        let key = ObjectKey { name: item.metadata.name?, ..placed.object.key() };
        let managed = item.metadata.managed_fields.unwrap_or_default();
        Some((key, Metadata { version: item.metadata.resource_version?, managed }))
    });
    Ok(named.collect())
}
