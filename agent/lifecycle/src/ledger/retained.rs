//! Retained releases: kept whole in Secrets, so that a rollback needs neither hub nor registry.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use crate::bundle::release::Release;

/// A retained release, as the labels of its Secret describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// Which release.
    pub release: Release,
    /// Its role for the add-on.
    pub state: RetainedState,
}

/// The role of a retained release. The label on its Secret has the same words.
#[derive(
    Serialize,
    Deserialize,
    IntoStaticStr,
    EnumString,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum RetainedState {
    /// On its way, or failed and left in place.
    Candidate,
    /// The last release that was available.
    Current,
    /// The release that was available before the current one.
    Previous,
}

impl RetainedState {
    /// The state as the label on the Secret has it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
