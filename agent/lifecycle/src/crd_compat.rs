//! What a changed CustomResourceDefinition means for objects that were written under the one before it.
//!
//! The API server takes a narrower definition without a word: fields that it does not know any more are dropped when an
//! object is next read, and objects that break a tighter rule can be read and not be written. So two definitions are
//! compared ([`changes`]), and a living object is held against what the new one says of it ([`Definition::harm`]).

mod changes;
mod data_loss;

use serde_json::Value;

pub use changes::{Change, Narrowing, changes};

use crate::kind::KnownKind;
use crate::object::Object;

/// The API server knows these of every object, and a status is told again by whoever told it.
const TOLD_BY_OTHERS: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// The parts of a definition that matter to its objects.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// `<plural>.<group>`
    pub name: String,
    pub group: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
    pub versions: Vec<Version>,
    /// Versions in which objects may be stored; only a living definition has them.
    pub stored: Vec<String>,
    converts: Value,
    preserves: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    pub name: String,
    pub served: bool,
    pub storage: bool,
    schema: Value,
}

impl Definition {
    /// `None` for what is not a definition that could be read.
    pub fn read(object: &Object) -> Option<Self> {
        if !object.is(KnownKind::CustomResourceDefinition) {
            return None;
        }
        let text = |pointer| object.0.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let list =
            |pointer| object.0.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        let conversion = object.0.pointer("/spec/conversion/strategy").cloned();
        let preserves = object.0.pointer("/spec/preserveUnknownFields");
        Some(Self {
            name: object.name().to_owned(),
            group: text("/spec/group")?,
            kind: text("/spec/names/kind")?,
            plural: text("/spec/names/plural")?,
            namespaced: text("/spec/scope")? == "Namespaced",
            versions: list("/spec/versions").filter_map(Version::read).collect(),
            stored: list("/status/storedVersions")
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            converts: conversion.unwrap_or_else(|| "None".into()),
            preserves: preserves == Some(&Value::Bool(true)),
        })
    }

    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }

    pub fn storage(&self) -> Option<&Version> {
        self.versions.iter().find(|version| version.storage)
    }

    /// The version in which its objects are best read: as they are stored, if that is served.
    pub fn read_in(&self) -> Option<&Version> {
        let served = || self.versions.iter().filter(|version| version.served);
        served().find(|version| version.storage).or_else(|| served().next())
    }
}

impl Version {
    fn read(version: &Value) -> Option<Self> {
        Some(Self {
            name: version.get("name")?.as_str()?.to_owned(),
            served: version.get("served") == Some(&Value::Bool(true)),
            storage: version.get("storage") == Some(&Value::Bool(true)),
            schema: version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests;
