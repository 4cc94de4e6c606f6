//! Leases that show that something is alive: the agent's heartbeat on the hub, and the health leases on the managed cluster.
//!
//! `health` decides which add-ons have a health lease, and `liveness` is the form of the leases. These talk: `renew_health`
//! and `heartbeat` are tasks, `lease` writes and deletes one Lease, also for reports.

mod health;
pub mod heartbeat;
pub mod lease;
mod liveness;
pub mod renew_health;
