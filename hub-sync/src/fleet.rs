//! What a fleet needs beside OCM's own rollout: completion that is true, and removal that was ordered.

pub mod premature_completion;
pub mod removal_intent;
