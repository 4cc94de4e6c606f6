//! Reports on their way up: the status lease and the conditions of a `ManagedClusterAddOn`.

pub mod conditions;
pub mod publish;
pub mod report;
