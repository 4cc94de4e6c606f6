//! The stamp: labels and annotations that mark an object as written by a release.

use crate::bundle::release::Release;
use crate::names::{annotation, label};
use crate::object::Object;

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
