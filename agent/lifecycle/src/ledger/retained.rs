//! Retained releases: kept whole in Secrets, so that a rollback needs neither hub nor registry.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use crate::bundle::release::{Release, ReleaseId};
use crate::ledger::rollout::Rollout;

/// A retained release, as the labels of its Secret describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// Which release.
    pub release: Release,
    /// What it is to the add-on.
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

impl Rollout {
    /// The releases that stay retained while nothing is rolled out, each with the first state that applies.
    pub(crate) fn retained_states(&self) -> Vec<(ReleaseId, RetainedState)> {
        let current = self.current.iter().map(|release| (release, RetainedState::Current));
        let previous = self.previous.iter().map(|release| (release, RetainedState::Previous));
        let touched = self.touched.iter().map(|release| (release, RetainedState::Candidate));
        let mut states: Vec<(ReleaseId, RetainedState)> = Vec::new();
        for (Release { id, .. }, state) in current.chain(previous).chain(touched) {
            if !states.iter().any(|(known, _)| known == id) {
                states.push((id.clone(), state));
            }
        }
        states
    }
}
