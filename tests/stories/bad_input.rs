//! Bad input: whatever is wrong with it, what runs is left alone, the status says what and why, and once the assignment
//! is mended the add-on goes on.

pub mod assignment;
pub mod bundle;
pub mod cluster;
pub mod health;
pub mod immutable;
pub mod limits;
pub mod running_add_on;
pub mod source;
