//! The decisions of an add-on's life: pure types and functions, no I/O, no clock, no async.

pub mod api;
mod assignment;
pub mod duration;
pub mod names;
mod reason;
mod release;
mod rollout;
pub mod versions;

pub use api::*;
pub use assignment::{Assignment, LARGEST_BUNDLE, Policy, Pull, Values};
pub use reason::{Fault, Owner, Reason};
pub use release::{Release, ReleaseId, ServiceAccount, Shape, digest, hex};
pub use rollout::*;
