//! An object of a release as this cluster takes it: kind looked up, namespace filled in, stamped.

use lifecycle::bundle::hook::Hook;
use lifecycle::plan::waves::Wave;
use lifecycle::{Fault, KnownKind, Object, ObjectKey, Reason};

use crate::cluster::kinds::Kind;

/// A manifest and how to reach its object.
#[derive(Clone, Debug)]
pub struct ResolvedObject {
    /// The manifest with its namespace and stamp.
    pub manifest: Object,
    /// `None` where the API server does not serve the kind, or not yet.
    pub kind: Option<Kind>,
    /// Where `kind` is missing: the same kind in another version, which still finds an object that was written.
    pub other_version: Option<Kind>,
    /// JSON pointers to the fields that stay as they are once the object exists.
    pub ignored_fields: Vec<String>,
}

impl ResolvedObject {
    pub fn key(&self) -> ObjectKey {
        self.manifest.key()
    }

    pub fn name(&self) -> &str {
        self.manifest.name()
    }

    /// Returns the wave that applies the object.
    pub fn wave(&self) -> Wave {
        self.manifest.wave()
    }

    /// Returns the moment at which the object is run; `None` for one that is applied in a wave.
    pub fn hook(&self) -> Option<Hook> {
        Hook::of(&self.manifest)
    }

    pub fn is_definition(&self) -> bool {
        self.manifest.is(KnownKind::CustomResourceDefinition)
    }
}

/// Returns the refusal of a kind that neither the API server nor the bundle has.
pub fn unknown_kind(manifest: &Object) -> Fault {
    let (api_version, kind) = (manifest.api_version(), manifest.kind());
    let message = format!("{}: the API server does not know {api_version} {kind}", manifest.key());
    Fault::new(Reason::UnknownKind, message)
}
