//! Phases, operations and their results.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use super::patterns::plain_enum;

/// Phase of a rollout, as users and metrics see it.
#[derive(
    JsonSchema,
    Serialize,
    Deserialize,
    IntoStaticStr,
    VariantArray,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
)]
pub enum Phase {
    /// The assignment is seen, and nothing is decided yet.
    Pending,
    /// The rollout may not start yet; the reason says why.
    Waiting,
    /// The bundle is being downloaded and its digest compared.
    Pulling,
    /// The bundle is being parsed and the release retained.
    Staging,
    /// The release is being tried by dry run.
    Checking,
    /// Objects are being written, wave by wave.
    Applying,
    /// Everything is written, and its health is watched.
    Verifying,
    /// Everything is healthy, and objects that the version no longer has are being removed.
    Pruning,
    /// The version runs.
    Available,
    /// The version was rejected before the first write.
    Rejected,
    /// The last version that was available is being restored.
    RollingBack,
    /// The last version that was available runs; the assigned one failed.
    RolledBack,
    /// The assigned version failed, and there was no rollback.
    Failed,
    /// Everything that was installed is being removed.
    Removing,
}

impl Phase {
    /// Every phase, in the order of a rollout.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The phase as status and metrics show it.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns whether the rollout has ended. Only a rejected assignment may still be retried without a cause from outside.
    pub fn is_settled(self) -> bool {
        match self {
            Phase::Available | Phase::Rejected | Phase::RolledBack | Phase::Failed => true,
            Phase::Pending
            | Phase::Waiting
            | Phase::Pulling
            | Phase::Staging
            | Phase::Checking
            | Phase::Applying
            | Phase::Verifying
            | Phase::Pruning
            | Phase::RollingBack
            | Phase::Removing => false,
        }
    }
}

/// Kind of an operation.
#[derive(
    JsonSchema,
    Serialize,
    Deserialize,
    IntoStaticStr,
    VariantArray,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
)]
#[schemars(transform = plain_enum)]
pub enum OperationKind {
    /// The first version is installed.
    Install,
    /// Another release replaces the current one, also at the same version.
    Upgrade,
    /// An earlier release is restored, automatically or by request.
    Rollback,
    /// Everything that was installed is removed.
    Uninstall,
}

impl OperationKind {
    /// Every kind.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The operation as status and metrics show it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Result of an operation.
#[derive(
    JsonSchema,
    Serialize,
    Deserialize,
    IntoStaticStr,
    VariantArray,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
)]
#[schemars(transform = plain_enum)]
pub enum OperationResult {
    /// The operation has not ended.
    InProgress,
    /// It reached its goal.
    Succeeded,
    /// It did not reach its goal, or another assignment replaced it.
    Failed,
}

impl OperationResult {
    /// Every result.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The result as status and metrics show it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::to_value;

    use super::*;

    #[test]
    fn names_are_those_that_the_api_has() {
        for phase in Phase::ALL {
            assert_eq!(to_value(phase).expect("a phase"), phase.name());
        }
        for kind in OperationKind::ALL {
            assert_eq!(to_value(kind).expect("an operation"), kind.name());
        }
        for result in OperationResult::ALL {
            assert_eq!(to_value(result).expect("a result"), result.name());
        }
    }
}
