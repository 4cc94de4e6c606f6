//! A CustomResourceDefinition, as far as it matters to its objects.

use serde_json::Value;

use crate::kind::KnownKind;
use crate::object::Object;

/// A CustomResourceDefinition of a bundle or of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// `<plural>.<group>`.
    pub name: String,
    /// API group of its objects.
    pub group: String,
    /// Kind of its objects.
    pub kind: String,
    /// Plural of the kind, as in request paths.
    pub plural: String,
    /// Whether its objects are namespaced.
    pub namespaced: bool,
    /// Its versions, in its own order.
    pub versions: Vec<DefinitionVersion>,
    /// Versions in which objects may be stored (`status.storedVersions`); none in a bundle.
    pub stored: Vec<String>,
    /// Strategy of `spec.conversion`; `None` if it names none.
    pub(super) conversion: String,
    /// `spec.preserveUnknownFields`: no field is dropped.
    pub(super) preserves_unknown: bool,
}

/// One version of a definition.
#[derive(Clone, Debug, PartialEq)]
pub struct DefinitionVersion {
    /// Name, such as `v1`.
    pub name: String,
    /// Whether the API server serves it.
    pub served: bool,
    /// Whether objects are stored in it.
    pub storage: bool,
    /// `schema.openAPIV3Schema`; null if absent.
    pub(super) schema: Value,
}

impl Definition {
    /// Reads a definition. None for an object that is not one, or lacks group, names or scope.
    pub fn read(object: &Object) -> Option<Self> {
        if !object.is(KnownKind::CustomResourceDefinition) {
            return None;
        }
        let text = |pointer| object.0.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let list =
            |pointer| object.0.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        let stored = list("/status/storedVersions").filter_map(Value::as_str);
        let preserves_unknown = object.0.pointer("/spec/preserveUnknownFields");
        Some(Self {
            name: object.name().to_owned(),
            group: text("/spec/group")?,
            kind: text("/spec/names/kind")?,
            plural: text("/spec/names/plural")?,
            namespaced: text("/spec/scope")? == "Namespaced",
            versions: list("/spec/versions").filter_map(DefinitionVersion::read).collect(),
            stored: stored.map(str::to_owned).collect(),
            conversion: text("/spec/conversion/strategy").unwrap_or_else(|| "None".to_owned()),
            preserves_unknown: preserves_unknown == Some(&Value::Bool(true)),
        })
    }

    /// The version with this name.
    pub fn version(&self, name: &str) -> Option<&DefinitionVersion> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// The version in which objects are stored.
    pub fn storage(&self) -> Option<&DefinitionVersion> {
        self.versions.iter().find(|version| version.storage)
    }

    /// The version in which its objects are best read: as they are stored if that is served, else the first served one.
    pub fn reading_version(&self) -> Option<&DefinitionVersion> {
        let served = || self.versions.iter().filter(|version| version.served);
        served().find(|version| version.storage).or_else(|| served().next())
    }

    /// Whether objects are converted between versions. If not, one that is stored as one version is read as the other,
    /// without the fields that the other does not have.
    pub(super) fn converts(&self) -> bool {
        self.conversion != "None"
    }
}

impl DefinitionVersion {
    fn read(version: &Value) -> Option<Self> {
        Some(Self {
            name: version.get("name")?.as_str()?.to_owned(),
            served: version.get("served") == Some(&Value::Bool(true)),
            storage: version.get("storage") == Some(&Value::Bool(true)),
            schema: version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default(),
        })
    }
}
