//! How it stands with what a `ManagedClusterAddOn` asks for: what the assigning task tells the reporting ones.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lifecycle::Fault;

/// By name; what is not looked up yet is not in it.
pub type Standings = BTreeMap<String, Standing>;

#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// The klusterlet's work agent assigns, not hub-sync.
    Fleet,
    /// Stand-alone, and refers to no template.
    Unasked,
    /// There is, or is about to be, a `ManagedAddOn` that says it.
    Assigned,
    /// What is asked for cannot become a `ManagedAddOn`.
    Refused(Refusal),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub fault: Fault,
    /// What is asked for, where that much is known.
    pub version: Option<String>,
    pub since: Timestamp,
}

impl Standing {
    pub fn is_stand_alone(&self) -> bool {
        match self {
            Standing::Fleet => false,
            Standing::Unasked | Standing::Assigned | Standing::Refused(_) => true,
        }
    }

    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Standing::Refused(refusal) => Some(refusal),
            Standing::Fleet | Standing::Unasked | Standing::Assigned => None,
        }
    }
}
