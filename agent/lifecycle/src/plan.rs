//! The order in which objects are written and removed.

mod waves;

pub use waves::*;
