//! The decisions of an add-on's life: pure types and functions, no I/O, no clock, no async.

pub mod api;
mod assignment;
pub mod bundle;
pub mod duration;
pub mod health;
pub mod names;
mod object;
mod observation;
pub mod plan;
mod reason;
mod release;
mod rollout;
pub mod shared_fields;
mod status;
mod step;
pub mod versions;

pub use api::*;
pub use assignment::{Assignment, LARGEST_BUNDLE, Policy, Pull, Values};
pub use object::{Object, ObjectKey};
pub use observation::{Action, Observation, Outcome};
pub use reason::{Fault, Owner, Reason};
pub use release::{Release, ReleaseId, ServiceAccount, Shape, digest, hex};
pub use rollout::*;
pub use status::{Beside, printable, reason, status};
pub use step::{Step, step};
