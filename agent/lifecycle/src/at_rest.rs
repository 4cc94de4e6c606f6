//! Reports about a release at rest: whether it is healthy, and whether others change it. A problem is reported only once it
//! lasts, so that one that comes and goes floods nobody. Nothing here starts or ends a rollout.

mod degradation;
mod drift;
mod drift_condition;
mod foreign_fields;

pub use degradation::Degradation;
pub use drift::{Drift, Repairs};
pub use drift_condition::{DriftCondition, DriftReason};
pub use foreign_fields::{ForeignFields, find_foreign_fields};
