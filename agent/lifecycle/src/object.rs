//! A Kubernetes object as JSON, and its key within a cluster.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Identity of an object within a cluster. The version of the API group is not part of it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub struct ObjectKey {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Namespace; absent for a cluster-scoped object, and in a bundle for one that takes the release's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// An object as JSON. One that [`crate::bundle`] read has a kind, an API version and a name.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(transparent)]
pub struct Object(pub Value);

impl Object {
    /// API group and version, such as `apps/v1`; empty if absent.
    pub fn api_version(&self) -> &str {
        self.text("/apiVersion")
    }

    /// API group; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    /// Kind; empty if absent.
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// Name; empty if absent.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Namespace; an empty one counts as absent.
    pub fn namespace(&self) -> Option<&str> {
        self.0.pointer("/metadata/namespace")?.as_str().filter(|namespace| !namespace.is_empty())
    }

    /// Identity of the object.
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            group: self.group().to_owned(),
            kind: self.kind().to_owned(),
            namespace: self.namespace().map(str::to_owned),
            name: self.name().to_owned(),
        }
    }

    /// Value of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.0.get("metadata")?.get("annotations")?.get(name)?.as_str()
    }

    /// Value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.0.get("metadata")?.get("labels")?.get(name)?.as_str()
    }

    /// Sets the namespace, or removes it.
    pub fn set_namespace(&mut self, namespace: Option<&str>) {
        if let Some(metadata) = fields_at(&mut self.0, "metadata") {
            match namespace {
                Some(namespace) => metadata.insert("namespace".to_owned(), namespace.into()),
                None => metadata.remove("namespace"),
            };
        }
    }

    /// Sets an annotation.
    pub fn set_annotation(&mut self, name: &str, value: &str) {
        self.set_metadata("annotations", name, value);
    }

    /// Sets a label.
    pub fn set_label(&mut self, name: &str, value: &str) {
        self.set_metadata("labels", name, value);
    }

    fn set_metadata(&mut self, field: &str, name: &str, value: &str) {
        let Some(metadata) = fields_at(&mut self.0, "metadata") else { return };
        let values = metadata.entry(field).or_insert_with(|| Value::Object(Map::new()));
        if !values.is_object() {
            *values = Value::Object(Map::new());
        }
        if let Some(values) = values.as_object_mut() {
            values.insert(name.to_owned(), value.into());
        }
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Returns the fields of the object in this field, which is created if it is absent.
fn fields_at<'a>(value: &'a mut Value, field: &str) -> Option<&'a mut Map<String, Value>> {
    let fields = value.as_object_mut()?;
    fields.entry(field).or_insert_with(|| Value::Object(Map::new())).as_object_mut()
}
