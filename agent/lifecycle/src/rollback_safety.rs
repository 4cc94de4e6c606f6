//! Judges, before the first write, whether a rollback would work: the condition `RollbackSafe`.
//!
//! Only a known blocker makes it False. An unknown, which depends on later events or cannot be observed, makes it Unknown,
//! which stops nothing.

mod common;
mod definitions;
mod images;
mod judge;
mod risks;
mod safety;

pub use definitions::{Instances, narrowed_definitions};
pub use images::NodeImages;
pub use judge::{RollbackContext, judge_rollback};
pub use risks::{Blocker, Unknown};
pub use safety::RollbackSafety;

#[cfg(test)]
mod tests;
