//! The `ManagedAddOn` custom resource: the spec is the assignment, the status has the ledger.
//!
//! The CRD is generated from these types, with their comments as descriptions. It sets no defaults, because they would make
//! the klusterlet's work agent write again and again. Absent fields get their defaults in [`crate::Policy`] and
//! [`crate::Assignment`].

mod health_rule;
mod patterns;
mod phase;
mod policy;
mod source;
mod spec;
mod status;

pub use health_rule::HealthRule;
pub use phase::{OperationKind, OperationResult, Phase};
pub use policy::{Deletion, Downgrades, OnFailure, OnUnsafe, PolicySpec, Upgrades, Window};
pub use source::{HttpSource, InlineSource, OciSource, Source};
pub use spec::{ManagedAddOn, ManagedAddOnSpec, RequirementSpec};
pub use status::{HistoryEntry, ManagedAddOnStatus};
