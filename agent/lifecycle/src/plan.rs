//! The order in which objects are written and removed, and which removals are not made.

pub mod jobs;
pub mod removal;
pub mod replacement;
pub mod waves;
