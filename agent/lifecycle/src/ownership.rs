//! Which living objects belong to an add-on, and which were there before it.

pub mod adoption;
