//! Releases kept in Secrets, by what their labels say.

use serde::{Deserialize, Serialize};

use crate::bundle::release::Release;

/// A release kept in a Secret, by what its labels say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    pub release: Release,
    pub state: RetainedState,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum RetainedState {
    Candidate,
    Current,
    Previous,
}

impl RetainedState {
    pub const ALL: [RetainedState; 3] =
        [RetainedState::Candidate, RetainedState::Current, RetainedState::Previous];

    /// As the label on the Secret says it.
    pub fn name(self) -> &'static str {
        match self {
            RetainedState::Candidate => "candidate",
            RetainedState::Current => "current",
            RetainedState::Previous => "previous",
        }
    }
}
