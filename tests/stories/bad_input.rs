//! Bad input of every kind: the current version stays untouched, the status names the problem, and a corrected assignment
//! succeeds.

pub mod assignment;
pub mod bundle;
pub mod cluster;
pub mod health;
pub mod immutable;
pub mod limits;
pub mod running_add_on;
pub mod source;
