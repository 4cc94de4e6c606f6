//! Ownership: the stamp on objects that a release wrote, and the adoption of objects that existed before.

pub mod adoption;
pub(crate) mod controller_fields;
pub mod keep_marks;
pub mod stamp;
