//! Releases kept in Secrets, by what their labels say.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use crate::bundle::release::Release;

/// A release kept in a Secret, by what its labels say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    pub release: Release,
    pub state: RetainedState,
}

/// What a retained release is to the add-on. The label on its Secret has the same words.
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
    Candidate,
    Current,
    Previous,
}

impl RetainedState {
    /// The state as the label on the Secret has it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
