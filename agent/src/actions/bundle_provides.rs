//! What a bundle brings for its own other objects: namespaces, kinds and roles.

use std::collections::BTreeSet;

use lifecycle::{KnownKind, Object, Reason};

/// The namespaces, kinds and roles that a bundle brings.
#[derive(Default)]
pub struct BundleProvides {
    namespaces: BTreeSet<String>,
    /// Group, kind, and whether its objects are namespaced.
    kinds: BTreeSet<(String, String, bool)>,
    /// Kind and name.
    roles: BTreeSet<(String, String)>,
}

impl<'a> FromIterator<&'a Object> for BundleProvides {
    fn from_iter<I: IntoIterator<Item = &'a Object>>(manifests: I) -> Self {
        let mut provides = Self::default();
        for manifest in manifests {
            if manifest.is(KnownKind::Namespace) {
                provides.namespaces.insert(manifest.name().to_owned());
            } else if manifest.is(KnownKind::CustomResourceDefinition) {
                provides.kinds.extend(defined_kind(manifest));
            } else if manifest.is(KnownKind::Role) || manifest.is(KnownKind::ClusterRole) {
                provides.roles.insert((manifest.kind().to_owned(), manifest.name().to_owned()));
            }
        }
        provides
    }
}

impl BundleProvides {
    /// Returns whether the object needs another one of the bundle first.
    pub fn supports(&self, object: &Object) -> bool {
        self.has_namespace(object) || self.defines(object) || self.has_role(object)
    }

    /// Returns whether a finding about the object may disappear once the rest of the bundle is written.
    pub fn explains(&self, object: &Object, finding: Reason) -> bool {
        // Binding a role requires the rights that are in it.
        let is_about_role = matches!(finding, Reason::Forbidden | Reason::UnknownKind);
        (finding == Reason::NamespaceMissing && self.has_namespace(object))
            || (is_about_role && self.has_role(object))
            // A definition that changes with the bundle decides which objects of it are valid.
            || (finding != Reason::NotOurs && self.defines(object))
    }

    /// Returns whether the bundle defines the object's kind.
    pub fn defines(&self, object: &Object) -> bool {
        [true, false].iter().any(|is_namespaced| self.has_kind(object, *is_namespaced))
    }

    /// Returns whether the bundle defines the object's kind as a namespaced one.
    pub fn is_namespaced(&self, object: &Object) -> bool {
        self.has_kind(object, true)
    }

    fn has_namespace(&self, object: &Object) -> bool {
        object.namespace().is_some_and(|namespace| self.namespaces.contains(namespace))
    }

    fn has_role(&self, binding: &Object) -> bool {
        let text = |field| binding.0.pointer(field).and_then(|v| v.as_str()).unwrap_or_default();
        let role = (text("/roleRef/kind").to_owned(), text("/roleRef/name").to_owned());
        self.roles.contains(&role)
    }

    fn has_kind(&self, object: &Object, is_namespaced: bool) -> bool {
        let kind = (object.group().to_owned(), object.kind().to_owned(), is_namespaced);
        self.kinds.contains(&kind)
    }
}

fn defined_kind(definition: &Object) -> Option<(String, String, bool)> {
    let text = |pointer| definition.0.pointer(pointer).and_then(|value| value.as_str());
    Some((
        text("/spec/group")?.to_owned(),
        text("/spec/names/kind")?.to_owned(),
        text("/spec/scope")? == "Namespaced",
    ))
}
