//! A Kubernetes object as JSON, and its name within a cluster.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What tells objects apart; the version of the API group does not.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub struct ObjectKey {
    pub group: String,
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
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

/// An object with a kind and a name, guaranteed by [`crate::bundle`].
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(transparent)]
pub struct Object(pub Value);

impl Object {
    pub fn api_version(&self) -> &str {
        self.text("/apiVersion")
    }

    pub fn group(&self) -> &str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    pub fn namespace(&self) -> Option<&str> {
        self.0.pointer("/metadata/namespace")?.as_str().filter(|namespace| !namespace.is_empty())
    }

    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            group: self.group().to_owned(),
            kind: self.kind().to_owned(),
            namespace: self.namespace().map(str::to_owned),
            name: self.name().to_owned(),
        }
    }

    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.0.get("metadata")?.get("annotations")?.get(name)?.as_str()
    }

    pub fn label(&self, name: &str) -> Option<&str> {
        self.0.get("metadata")?.get("labels")?.get(name)?.as_str()
    }

    pub fn set_namespace(&mut self, namespace: Option<&str>) {
        if let Some(metadata) = self.section("metadata") {
            match namespace {
                Some(namespace) => metadata.insert("namespace".to_owned(), namespace.into()),
                None => metadata.remove("namespace"),
            };
        }
    }

    /// Sets a label or annotation: `of` is `labels` or `annotations`.
    pub fn mark(&mut self, of: &str, name: &str, value: &str) {
        let Some(metadata) = self.section("metadata") else { return };
        let marks = metadata.entry(of).or_insert_with(|| Value::Object(Map::new()));
        if !marks.is_object() {
            *marks = Value::Object(Map::new());
        }
        if let Some(marks) = marks.as_object_mut() {
            marks.insert(name.to_owned(), value.into());
        }
    }

    fn section(&mut self, name: &str) -> Option<&mut Map<String, Value>> {
        let fields = self.0.as_object_mut()?;
        fields.entry(name).or_insert_with(|| Value::Object(Map::new())).as_object_mut()
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}
