//! Restores what others changed or deleted of a release at rest. A look costs one list of metadata per kind and namespace;
//! only objects that changed since the last look are written.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::ListParams;
use lifecycle::at_rest::{ForeignFields, Repairs, find_foreign_fields};
use lifecycle::names::label;
use lifecycle::plan::waves::Wave;
use lifecycle::{Fault, KnownKind, ObjectKey, Rollout};

use crate::actions::apply::{mark_adopted, write};
use crate::actions::obstacles::write_past;
use crate::actions::release::ResolvedRelease;
use crate::cluster::access::{Access, join_bounded};
use crate::cluster::crd_instances;
use crate::cluster::error;
use crate::cluster::ownership::read_owned;
use crate::cluster::resolved::ResolvedObject;

/// The resourceVersion that each object had when it last was as its release says.
pub type KnownVersions = BTreeMap<ObjectKey, String>;

/// The objects of one kind in one namespace, as listed.
type Listed = BTreeMap<ObjectKey, ListedObject>;

struct ListedObject {
    resource_version: String,
    managed_fields: Vec<ManagedFieldsEntry>,
}

/// Repairs a release and returns what it changed. After a restart `known` is empty: every object is then written once,
/// which changes nothing where nothing had drifted. Objects that a rollback left as they are stay so.
pub async fn repair(
    release: &ResolvedRelease,
    rollout: &Rollout,
    known: &mut KnownVersions,
) -> Repairs {
    let mut repair = Repair { release, rollout, known, repairs: Repairs::default() };
    let mut seen = BTreeSet::new();
    // In the order of applying, so that an object finds what it needs.
    for &wave in Wave::ALL {
        for (objects, listed) in list_wave(release, wave).await {
            match listed {
                Some(listed) => {
                    seen.extend(objects.iter().map(|object| object.key()));
                    repair.restore_all(&objects, &listed).await;
                }
                None => repair.repairs.is_incomplete = true,
            }
        }
    }
    let repairs = repair.repairs;
    known.retain(|key, _| seen.contains(key));
    repairs
}

/// One look at a release at rest.
struct Repair<'a> {
    release: &'a ResolvedRelease,
    rollout: &'a Rollout,
    known: &'a mut KnownVersions,
    repairs: Repairs,
}

impl Repair<'_> {
    async fn restore_all(&mut self, objects: &[&ResolvedObject], listed: &Listed) {
        for object in objects {
            let fields = foreign_fields(object, listed.get(&object.key()));
            self.repairs.foreign_fields.insert(object.key(), fields);
        }
        let (untouched, objects): (Vec<&ResolvedObject>, Vec<&ResolvedObject>) =
            objects.iter().partition(|object| self.is_untouched(object, listed));
        self.remember(&untouched, listed);
        self.restore(&objects, listed).await;
    }

    /// A Job runs once: one that finished and was deleted is no drift. An object that a rollback left as it is stays so,
    /// unless it was deleted.
    fn is_untouched(&self, object: &ResolvedObject, listed: &Listed) -> bool {
        let key = object.key();
        object.manifest.is(KnownKind::Job)
            || listed.contains_key(&key) && self.rollout.is_kept(&key)
    }

    /// Notes the versions of objects without writing any.
    fn remember(&mut self, objects: &[&ResolvedObject], listed: &Listed) {
        for key in objects.iter().map(|object| object.key()) {
            match listed.get(&key) {
                Some(living) => _ = self.known.insert(key, living.resource_version.clone()),
                None => _ = self.known.remove(&key),
            }
        }
    }

    /// An object that cannot be restored now is reported and tried at the next look; the others are restored all the same.
    async fn restore(&mut self, objects: &[&ResolvedObject], listed: &Listed) {
        let version = |key: &ObjectKey| listed.get(key).map(|living| &living.resource_version);
        let release = self.release;
        let changed = objects.iter().filter(|object| {
            let key = object.key();
            version(&key).is_none() || version(&key) != self.known.get(&key)
        });
        let written =
            changed.map(|object| async { (object.key(), restore_object(release, object).await) });
        for (key, written) in join_bounded(written).await {
            let before = version(&key);
            self.record(key, before, written);
        }
    }

    fn record(
        &mut self,
        key: ObjectKey,
        before: Option<&String>,
        written: Result<Option<String>, Fault>,
    ) {
        let mut refused = self.rollout.refused_objects().iter();
        if written.is_ok() && refused.any(|refused| refused.object == key) {
            self.repairs.recovered.push(key.clone());
        }
        match written {
            Ok(Some(version)) => {
                if before != Some(&version) {
                    tracing::info!(object = %key, "repaired drift");
                    self.repairs.restored.push(key.clone());
                }
                self.known.insert(key, version);
            }
            Ok(None) => self.repairs.restored.push(key),
            Err(fault) => {
                tracing::warn!(object = %key, cause = fault.message, "could not repair drift");
                self.known.remove(&key);
                self.repairs.failed.push((key, fault.message));
            }
        }
    }
}

/// Returns the fields that other managers added to an object.
fn foreign_fields(object: &ResolvedObject, listed: Option<&ListedObject>) -> Vec<ForeignFields> {
    let Some(listed) = listed else { return Vec::new() };
    find_foreign_fields(&object.manifest, &object.ignored_fields, &listed.managed_fields)
}

async fn restore_object(
    release: &ResolvedRelease,
    object: &ResolvedObject,
) -> Result<Option<String>, Fault> {
    let access = &release.access;
    // A missing label is drift. Only the label of another add-on makes an object foreign.
    let living = read_owned(access, object, true).await?;
    // A rollback may have left the definition as it is.
    crd_instances::refuse_data_loss(access, object, living.as_ref()).await?;
    let marked = mark_adopted(access, object, living.as_ref());
    write_past(release, || write(access, &marked, living.as_ref())).await
}

/// Returns the objects of a wave by kind and namespace; without a list where that failed.
async fn list_wave(
    release: &ResolvedRelease,
    wave: Wave,
) -> Vec<(Vec<&ResolvedObject>, Option<Listed>)> {
    let mut groups: BTreeMap<_, Vec<&ResolvedObject>> = BTreeMap::new();
    for object in release.objects.iter().filter(|object| object.wave() == wave) {
        let manifest = &object.manifest;
        let group = (manifest.api_version(), manifest.kind(), manifest.namespace());
        groups.entry(group).or_default().push(object);
    }
    let lists = groups
        .into_values()
        .map(|objects| async { (list(&release.access, objects[0]).await, objects) });
    let lists = join_bounded(lists).await.into_iter().map(|(listed, objects)| match listed {
        Ok(listed) => (objects, Some(listed)),
        Err(fault) => {
            tracing::warn!(cause = fault.message, "could not look for drift");
            (objects, None)
        }
    });
    lists.collect()
}

/// Lists the add-on's objects of the kind and namespace of `object`.
async fn list(access: &Access, object: &ResolvedObject) -> Result<Listed, Fault> {
    let api = access.api(object).await?;
    let params = ListParams::default().labels(&format!("{}={}", label::ADD_ON, access.add_on));
    let items = match api.list_metadata(&params).await {
        Ok(list) => list.items,
        // Its definition is gone, and all objects with it. The kind is looked up again once it is back.
        Err(error) if error::is_not_found(&error) => {
            let manifest = &object.manifest;
            access.cluster.kinds().forget(manifest.api_version(), manifest.kind());
            Vec::new()
        }
        Err(error) => {
            let context = format!("could not list objects of kind {}", object.manifest.kind());
            return Err(error::to_fault(&context, &error));
        }
    };
    let listed = items.into_iter().filter_map(|item| {
        let key = ObjectKey { name: item.metadata.name?, ..object.key() };
        let resource_version = item.metadata.resource_version?;
        let managed_fields = item.metadata.managed_fields.unwrap_or_default();
        Some((key, ListedObject { resource_version, managed_fields }))
    });
    Ok(listed.collect())
}
