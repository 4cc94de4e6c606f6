//! What drivers saw of releases at rest, kept for the next driver of the same add-on in this process: an agent that loses
//! its lease for a moment would otherwise write every object again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use lifecycle::Release;

use crate::actions::drift::KnownVersions;

/// What was seen of a release at rest. A version identifies a form of an object, so this stays true while nobody looks.
pub struct Sightings {
    pub release: Release,
    pub known_versions: KnownVersions,
    /// See `AtRestState`.
    pub healthy_versions: Option<KnownVersions>,
}

/// The sightings of all add-ons without a driver.
#[derive(Default)]
pub struct KnownSightings(Mutex<BTreeMap<String, Sightings>>);

impl KnownSightings {
    /// Keeps the sightings of an add-on whose driver ended.
    pub fn keep(&self, add_on: &str, sightings: Sightings) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(add_on.to_owned(), sightings);
    }

    /// Returns the sightings of an add-on to its next driver.
    pub fn take(&self, add_on: &str) -> Option<Sightings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(add_on)
    }
}
