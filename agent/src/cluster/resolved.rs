//! A release's objects as this cluster takes them: kind looked up, namespace filled in, stamped as ours.

use std::collections::{BTreeMap, BTreeSet};

use lifecycle::plan::{Stamp, Wave};
use lifecycle::{Fault, Object, Reason};

use crate::cluster::error;
use crate::cluster::{Cluster, Kind};
use crate::storage::releases::Content;

/// An object and how to reach it; no kind where the API server does not know it (yet).
#[derive(Clone, Debug)]
pub struct ResolvedObject {
    pub object: Object,
    pub kind: Option<Kind>,
    /// Where there is no kind: the same in another version, by which what was written can still be found.
    pub elsewhere: Option<Kind>,
}

impl ResolvedObject {
    pub fn stage(&self) -> Wave {
        Wave::of(self.object.group(), self.object.kind())
    }
}

pub async fn resolve(
    cluster: &Cluster,
    content: &Content,
    add_on: &str,
) -> Result<Vec<ResolvedObject>, Fault> {
    let stamp = Stamp { add_on, release: &content.release };
    let brought = BundleProvides::by(&content.objects);
    let mut kinds = BTreeMap::new();
    let mut placed = Vec::with_capacity(content.objects.len());
    for object in &content.objects {
        let mut object = object.clone();
        let named = (object.api_version().to_owned(), object.kind().to_owned());
        let (kind, elsewhere) = match kinds.get(&named) {
            Some(found) => Clone::clone(found),
            None => kinds.entry(named).or_insert(look_up(cluster, &object).await?).clone(),
        };
        let namespaced = match kind.as_ref().or(elsewhere.as_ref()) {
            Some(kind) => kind.namespaced,
            None => brought.is_namespaced(&object),
        };
        let namespace = object.namespace().unwrap_or(&content.shape.namespace).to_owned();
        object.set_namespace(namespaced.then_some(namespace.as_str()));
        stamp.put(&mut object);
        placed.push(ResolvedObject { object, kind, elsewhere });
    }
    Ok(placed)
}

/// As the object names it, else in another version.
async fn look_up(
    cluster: &Cluster,
    object: &Object,
) -> Result<(Option<Kind>, Option<Kind>), Fault> {
    let failed = |error| error::to_fault("kinds could not be looked up", &error);
    match cluster.kind(object).await {
        Ok(kind) => Ok((Some(kind), None)),
        Err(error) if error::is_unknown_kind(&error) => {
            Ok((None, cluster.kind_of_any_version(object).await.map_err(failed)?))
        }
        Err(error) => Err(failed(error)),
    }
}

/// What a bundle brings that its other objects may stand on.
pub struct BundleProvides {
    namespaces: BTreeSet<String>,
    /// Group, kind, and whether its objects are namespaced.
    kinds: BTreeSet<(String, String, bool)>,
    /// Kind and name.
    roles: BTreeSet<(String, String)>,
}

impl BundleProvides {
    pub fn by<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Self {
        let mut brought =
            Self { namespaces: BTreeSet::new(), kinds: BTreeSet::new(), roles: BTreeSet::new() };
        for object in objects {
            match object.kind() {
                "Namespace" => _ = brought.namespaces.insert(object.name().to_owned()),
                "CustomResourceDefinition" => brought.kinds.extend(defined(object)),
                "Role" | "ClusterRole" => {
                    let role = (object.kind().to_owned(), object.name().to_owned());
                    brought.roles.insert(role);
                }
                _ => {}
            }
        }
        brought
    }

    /// Whether this object may stand on others of the bundle.
    pub fn carries(&self, object: &Object) -> bool {
        self.has_namespace(object) || self.defines(object) || self.has_role(object)
    }

    /// Whether a finding about this object may be gone once others of the bundle are written.
    pub fn explains(&self, object: &Object, finding: Reason) -> bool {
        // Binding a role asks for what is in it.
        let about_role = matches!(finding, Reason::Forbidden | Reason::UnknownKind);
        (finding == Reason::NamespaceMissing && self.has_namespace(object))
            || (about_role && self.has_role(object))
            // A definition that changes with the bundle decides what its objects may be.
            || (finding != Reason::NotOurs && self.defines(object))
    }

    fn has_namespace(&self, object: &Object) -> bool {
        object.namespace().is_some_and(|namespace| self.namespaces.contains(namespace))
    }

    fn has_role(&self, object: &Object) -> bool {
        let role = |field| object.0.pointer(field).and_then(|v| v.as_str()).unwrap_or_default();
        let role = (role("/roleRef/kind").to_owned(), role("/roleRef/name").to_owned());
        self.roles.contains(&role)
    }

    pub fn defines(&self, object: &Object) -> bool {
        [true, false].iter().any(|scope| self.has_kind(object, *scope))
    }

    fn is_namespaced(&self, object: &Object) -> bool {
        self.has_kind(object, true)
    }

    fn has_kind(&self, object: &Object, namespaced: bool) -> bool {
        let kind = (object.group().to_owned(), object.kind().to_owned(), namespaced);
        self.kinds.contains(&kind)
    }
}

fn defined(definition: &Object) -> Option<(String, String, bool)> {
    let text = |pointer| definition.0.pointer(pointer).and_then(|value| value.as_str());
    Some((
        text("/spec/group")?.to_owned(),
        text("/spec/names/kind")?.to_owned(),
        text("/spec/scope")? == "Namespaced",
    ))
}

/// The refusal for a kind that nobody brings.
pub fn unknown_kind(object: &Object) -> Fault {
    let message = format!(
        "{}: the API server does not know {} {}",
        object.key(),
        object.api_version(),
        object.kind()
    );
    Fault::new(Reason::UnknownKind, message)
}
