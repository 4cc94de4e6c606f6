//! What is told of a release at rest: whether it is well, and whether others change it. Told only once it lasts, so that
//! what comes and goes floods nobody. Decides nothing: a rollout never begins or ends for it.

mod degradation;
mod drift;
mod foreign_fields;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::ManagedAddOnStatus;

pub use degradation::Degradation;
pub use drift::{Drift, Drifted, Mending};
pub use foreign_fields::{ForeignFields, added};

fn saved<'a>(status: &'a ManagedAddOnStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind)
}
