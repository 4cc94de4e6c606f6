//! Additions to OCM's own rollout in a fleet, where the klusterlet's work agent assigns and removes.
//!
//! These files decide: `premature_completion` (whether OCM recorded a version as complete that is not in place) and
//! `removal_intent` (whether the hub ordered a removal). These talk: `correct_completion` removes OCM's record, `confirm_removal` asks the
//! hub and marks the `ManagedAddOn`.

pub mod confirm_removal;
pub mod correct_completion;
mod premature_completion;
mod removal_intent;
