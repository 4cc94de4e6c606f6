//! The stamp: labels and annotations that mark an object as written by a release.

use crate::bundle::release::Release;
use crate::names::{annotation, label};
use crate::object::Object;

const NAMES: [&str; 4] = [label::ADD_ON, label::RELEASE, annotation::VERSION, annotation::DIGEST];

/// The add-on and the release that an object is marked with.
pub struct Stamp<'a> {
    /// Name of the `ManagedAddOn`.
    pub add_on: &'a str,
    /// The release that writes the object.
    pub release: &'a Release,
}

impl Stamp<'_> {
    /// Marks an object as written by the release. A stamp that it has is replaced.
    pub fn mark(&self, object: &mut Object) {
        object.set_label(label::ADD_ON, self.add_on);
        object.set_label(label::RELEASE, self.release.id.short());
        object.set_annotation(annotation::VERSION, &self.release.version.to_string());
        object.set_annotation(annotation::DIGEST, &self.release.digest);
    }
}

/// Removes any stamp from an object.
pub fn remove_stamp(object: &mut Object) {
    for names in ["/metadata/labels", "/metadata/annotations"] {
        if let Some(names) = object.0.pointer_mut(names).and_then(|names| names.as_object_mut()) {
            names.retain(|name, _| !NAMES.contains(&name.as_str()));
        }
    }
}
