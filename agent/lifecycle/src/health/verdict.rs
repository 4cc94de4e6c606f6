//! The health of a release: of all its objects together.

use super::{Health, HealthStatus};
use crate::object::Object;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Healthy,
    /// Not yet; what is awaited.
    Awaited(String),
    /// An object says it failed, in its own words.
    Failed(String),
}

/// One verdict for many objects: the first failure decides, then the first that is awaited.
pub fn verdict<'a>(healths: impl IntoIterator<Item = (&'a Object, Health)>) -> Verdict {
    let mut awaited = Vec::new();
    for (object, health) in healths {
        let said = || format!("{}: {}", object.key(), health.message);
        match health.status {
            HealthStatus::Current => {}
            HealthStatus::Failed => return Verdict::Failed(said()),
            HealthStatus::InProgress
            | HealthStatus::Terminating
            | HealthStatus::NotFound
            | HealthStatus::Unknown => awaited.push(said()),
        }
    }
    match awaited.len() {
        0 => Verdict::Healthy,
        1 => Verdict::Awaited(awaited.remove(0)),
        more => Verdict::Awaited(format!("{} (and {} more)", awaited.remove(0), more - 1)),
    }
}
