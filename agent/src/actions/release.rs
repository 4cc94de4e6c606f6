//! A retained release as this cluster takes it: everything an action needs to work on its objects.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use lifecycle::bundle::ignored_fields;
use lifecycle::bundle::webhook::state_failure_policy;
use lifecycle::ownership::stamp::Stamp;
use lifecycle::{Fault, KnownKind, Object};

use crate::actions::bundle_provides::BundleProvides;
use crate::actions::obstacles::Restored;
use crate::cluster::access::Access;
use crate::cluster::error;
use crate::cluster::kinds::{Kind, Kinds};
use crate::cluster::resolved::ResolvedObject;
use crate::storage::packed_release::Content;

/// A release, its objects, and the access with the rights of its service account.
pub struct ResolvedRelease {
    pub content: Arc<Content>,
    pub objects: Vec<ResolvedObject>,
    pub access: Access,
    pub restored_obstacles: Restored,
}

impl ResolvedRelease {
    /// Looks up every kind in the release, and fills in namespaces and stamps.
    ///
    /// # Errors
    /// A transient fault if the API server could not be asked for a kind. An unknown kind is no error.
    pub async fn resolve(content: Arc<Content>, access: Access) -> Result<Self, Fault> {
        let stamp = Stamp { add_on: &access.add_on, release: &content.release };
        let provides: BundleProvides = content.objects.iter().collect();
        let mut lookups = Lookups { kinds: access.cluster.kinds(), done: BTreeMap::new() };
        let mut objects = Vec::with_capacity(content.objects.len());
        for manifest in &content.objects {
            let mut manifest = manifest.clone();
            let (kind, other_version) = lookups.get(&manifest).await?;
            let is_namespaced = match kind.as_ref().or(other_version.as_ref()) {
                Some(kind) => kind.is_namespaced,
                None => provides.is_namespaced(&manifest),
            };
            let namespace = manifest.namespace().unwrap_or(&content.shape.namespace).to_owned();
            manifest.set_namespace(is_namespaced.then_some(namespace.as_str()));
            state_failure_policy(&mut manifest);
            stamp.mark(&mut manifest);
            let ignored_fields = Vec::new();
            objects.push(ResolvedObject { manifest, kind, other_version, ignored_fields });
        }
        set_ignored_fields(&mut objects);
        Ok(Self { content, objects, access, restored_obstacles: Restored::default() })
    }

    pub fn manifests(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter().map(|object| &object.manifest)
    }
}

/// By namespaces as this cluster has them, in which an autoscaler finds its target.
fn set_ignored_fields(objects: &mut [ResolvedObject]) {
    let autoscalers: Vec<Object> = objects
        .iter()
        .filter(|object| object.manifest.is(KnownKind::HorizontalPodAutoscaler))
        .map(|object| object.manifest.clone())
        .collect();
    for object in objects {
        object.ignored_fields = ignored_fields::pointers(&object.manifest, &autoscalers);
    }
}

/// The kinds of one release: as its manifests name them, else in another version.
struct Lookups<'a> {
    kinds: &'a Kinds,
    done: BTreeMap<(String, String), (Option<Kind>, Option<Kind>)>,
}

impl Lookups<'_> {
    async fn get(&mut self, manifest: &Object) -> Result<(Option<Kind>, Option<Kind>), Fault> {
        let key = (manifest.api_version().to_owned(), manifest.kind().to_owned());
        match self.done.entry(key) {
            Entry::Occupied(found) => Ok(found.get().clone()),
            Entry::Vacant(missing) => {
                Ok(missing.insert(look_up(self.kinds, manifest).await?).clone())
            }
        }
    }
}

async fn look_up(kinds: &Kinds, manifest: &Object) -> Result<(Option<Kind>, Option<Kind>), Fault> {
    let failed = |error| error::to_fault("could not look up kinds", &error);
    match kinds.get(manifest).await {
        Ok(kind) => Ok((Some(kind), None)),
        Err(error) if error::is_unknown_kind(&error) => {
            Ok((None, kinds.get_any_version(manifest).await.map_err(failed)?))
        }
        Err(error) => Err(failed(error)),
    }
}
