//! Assignments on their way down: from a `ManagedClusterAddOn` to a `ManagedAddOn`.

pub mod assign;
pub mod outcome;
pub mod ownership;
pub mod template;
pub mod tracker;
