//! The ledger: everything that has to survive the agent, saved before each action.

pub mod attempts;
pub mod failure;
pub mod history;
pub mod left_behind;
pub mod load;
pub mod operation;
pub mod records;
pub mod retained;
pub mod retry;
pub mod rollout;
pub mod state;
