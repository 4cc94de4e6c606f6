//! The assignment: a `ManagedAddOn`'s spec, read and validated.

pub mod assignment;
pub mod duration;
pub mod maintenance_window;
pub mod policy;
pub mod pull;
pub mod requirement;
pub mod upgrade_path;
pub mod version_range;
