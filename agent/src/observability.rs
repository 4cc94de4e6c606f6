//! What people and Prometheus see of the agent: metrics, events, logs and the admin server.

pub mod admin;
pub mod events;
pub mod logging;
pub mod metrics;
