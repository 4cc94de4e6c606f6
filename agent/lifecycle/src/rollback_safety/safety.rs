//! The result of the judgement, as ledger and status show it.

use serde::{Deserialize, Serialize};

use super::risks::{Blocker, Unknown};
use crate::names::annotation;
use crate::reason::{Fault, Reason};

/// Maximum number of blockers, and of unknowns, that are kept: the ledger is small.
pub(super) const MAX_KEPT: usize = 8;

/// Result of the judgement. The ledger has it.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RollbackSafety {
    /// Known reasons why it would not work; at most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blockers: Vec<Blocker>,
    /// Doubts that cannot be resolved before the first write; at most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknowns: Vec<Unknown>,
}

impl RollbackSafety {
    /// The status of the condition `RollbackSafe`.
    pub fn status(&self) -> &'static str {
        match (self.blockers.is_empty(), self.unknowns.is_empty()) {
            (false, _) => "False",
            (true, false) => "Unknown",
            (true, true) => "True",
        }
    }

    /// The reason of the condition `RollbackSafe`.
    pub fn reason(&self) -> &'static str {
        match self.status() {
            "True" => "NoKnownRisk",
            "Unknown" => "Undetermined",
            _ => Reason::RollbackUnsafe.name(),
        }
    }

    /// The message of the condition `RollbackSafe`.
    pub fn message(&self) -> String {
        match self.status() {
            "True" => "no known reason why a rollback would not work".to_owned(),
            _ => {
                let blockers = self.blockers.iter().map(ToString::to_string);
                let unknowns = self.unknowns.iter().map(ToString::to_string);
                blockers.chain(unknowns).collect::<Vec<_>>().join("; ")
            }
        }
    }

    /// Returns why a version whose rollback would not work is held.
    pub(crate) fn objection(&self) -> Fault {
        let blockers = self.blockers.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let message = format!(
            "a rollback would not be safe: {blockers}. To proceed anyway, set the annotation {} to a new value or set \
             policy.onUnsafe: Proceed",
            annotation::RETRY
        );
        Fault::new(Reason::RollbackUnsafe, message)
    }

    /// Returns it with at most eight blockers and eight unknowns.
    pub(super) fn truncated(mut self) -> Self {
        self.blockers.truncate(MAX_KEPT);
        self.unknowns.truncate(MAX_KEPT);
        self
    }
}
