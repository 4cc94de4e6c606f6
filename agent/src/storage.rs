//! All that survives the agent's process: ledger, retained releases, successors and the agent lease.

pub mod agent_identity;
pub mod agent_lease;
pub mod ledger;
pub mod packed_release;
pub mod releases;
pub mod successor;
