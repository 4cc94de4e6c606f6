//! Everything that survives the agent's process: the ledger, retained releases, successors and the agent's own Lease.

pub mod agent_lease;
pub mod ledger;
pub mod releases;
pub mod successor;
