//! The Leases that hub-sync renews.

pub mod health;
pub mod heartbeat;
pub mod lease;
