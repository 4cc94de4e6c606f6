//! An object as it lives in the cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::ObjectMeta;
use kube::core::{DynamicObject, PartialObjectMeta};
use lifecycle::Object;
use lifecycle::names::{annotation, label};
use lifecycle::ownership::keep_marks;

/// A living object, read once per act and passed on.
pub struct LivingObject {
    pub metadata: ObjectMeta,
    content: Option<Object>,
}

impl LivingObject {
    /// Returns the whole object if more than its metadata was read.
    pub fn content(&self) -> Option<&Object> {
        self.content.as_ref()
    }

    /// Returns the add-on that the label names as owner.
    pub fn owner(&self) -> Option<&str> {
        self.label(label::ADD_ON)
    }

    /// Returns the short id of the release that wrote the object last.
    pub fn release(&self) -> Option<&str> {
        self.label(label::RELEASE)
    }

    /// Returns the short id of the release that adopted the object and was not available yet.
    pub fn adopted_by(&self) -> Option<&str> {
        self.annotation(annotation::TAKEN_OVER_BY)
    }

    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// Returns why a mark of another tool keeps the object.
    pub fn keep_mark(&self) -> Option<String> {
        keep_mark(&self.metadata)
    }

    pub fn uid(&self) -> Option<&str> {
        self.metadata.uid.as_deref()
    }

    /// Returns the owners of the fields.
    pub fn managed_fields(&self) -> &[ManagedFieldsEntry] {
        self.metadata.managed_fields.as_deref().unwrap_or_default()
    }

    /// Returns the object after a write that changed only its metadata.
    pub fn with_metadata(self, metadata: ObjectMeta) -> Self {
        Self { metadata, ..self }
    }

    pub fn is_terminating(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(name).map(String::as_str)
    }
}

impl From<PartialObjectMeta<DynamicObject>> for LivingObject {
    fn from(object: PartialObjectMeta<DynamicObject>) -> Self {
        Self { metadata: object.metadata, content: None }
    }
}

impl From<DynamicObject> for LivingObject {
    fn from(object: DynamicObject) -> Self {
        let metadata = object.metadata.clone();
        Self { metadata, content: Some(to_object(object)) }
    }
}

/// Returns why a mark of another tool keeps an object.
pub fn keep_mark(metadata: &ObjectMeta) -> Option<String> {
    keep_marks::keep_reason(|name| {
        let values = [&metadata.annotations, &metadata.labels];
        values.into_iter().flatten().find_map(|values| values.get(name)).map(String::as_str)
    })
}

/// Returns an object of the API server as the JSON that the core reads.
pub fn to_object(object: impl serde::Serialize) -> Object {
    Object(serde_json::to_value(object).unwrap_or_default())
}
