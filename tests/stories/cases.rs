//! Cases that people reported of other tools: ordinary bundles, and how each ends here.

pub mod controller_fields;
pub mod keep_marks;
pub mod renamed;
pub mod secrets;
pub mod unreadable;
