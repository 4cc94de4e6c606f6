//! One module per action of a rollout, and for what is done at rest. An action does what it is given and returns its
//! outcome; it decides nothing. All of them work on a [`release::ResolvedRelease`].

pub mod release;

pub mod apply;
pub mod check;
pub mod drift;
pub mod evidence;
pub mod health;
pub mod hooks;
pub mod prune;
pub mod pull;
pub mod stage;

mod bundle_provides;
mod obstacles;
