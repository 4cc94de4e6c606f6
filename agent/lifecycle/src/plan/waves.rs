//! Waves: the order in which objects are applied. Removal runs backwards.

use serde::{Deserialize, Serialize};
use strum::VariantArray;

/// A group of objects that is applied together. Each wave is finished before the next begins.
#[derive(
    Serialize, Deserialize, VariantArray, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord,
)]
#[serde(rename_all = "camelCase")]
pub enum Wave {
    /// Namespaces.
    Namespaces,
    /// CustomResourceDefinitions, each awaited until it is `Established`.
    Definitions,
    /// Roles and service accounts: a binding can only be written when what it names exists.
    Roles,
    /// Bindings, configuration, services, volumes.
    Configuration,
    /// Pods, and everything that makes or scales them.
    Workloads,
    /// Objects of kinds that are not Kubernetes' own.
    CustomResources,
    /// Admission webhooks and APIServices: the pods that answer for them run by then.
    Extensions,
}

impl Wave {
    /// Every wave, in the order of applying.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Returns the wave after this one. None after the last.
    pub fn next(self) -> Option<Wave> {
        let mut waves = Wave::ALL.iter().copied();
        waves.find(|wave| *wave == self)?;
        waves.next()
    }
}
