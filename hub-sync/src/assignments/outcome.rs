//! The outcome of each assignment, for reports and health leases. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lifecycle::Fault;

/// Outcomes by name of the add-on. An add-on has none before it was looked up.
pub type Outcomes = BTreeMap<String, AssignmentOutcome>;

/// Outcome of an assignment by a `ManagedClusterAddOn`.
#[derive(Clone, Debug, PartialEq)]
pub enum AssignmentOutcome {
    /// It is part of a fleet: the klusterlet's work agent assigns, not hub-sync.
    Fleet,
    /// It is stand-alone and refers to no template.
    NoTemplate,
    /// Its `ManagedAddOn` was written.
    Assigned,
    /// No `ManagedAddOn` can be written for it.
    Rejected(Rejection),
}

/// An assignment that hub-sync rejected.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// Reason and message for the report.
    pub fault: Fault,
    /// The version that is assigned, if it is known.
    pub version: Option<String>,
    /// Time of the first rejection for this reason.
    pub since: Timestamp,
}

impl AssignmentOutcome {
    /// Returns whether hub-sync assigns it.
    pub fn is_stand_alone(&self) -> bool {
        match self {
            AssignmentOutcome::Fleet => false,
            AssignmentOutcome::NoTemplate
            | AssignmentOutcome::Assigned
            | AssignmentOutcome::Rejected(_) => true,
        }
    }

    /// Returns the rejection, if it is one.
    pub fn rejection(&self) -> Option<&Rejection> {
        match self {
            AssignmentOutcome::Rejected(rejection) => Some(rejection),
            AssignmentOutcome::Fleet
            | AssignmentOutcome::NoTemplate
            | AssignmentOutcome::Assigned => None,
        }
    }
}
