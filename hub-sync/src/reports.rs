//! Reports: what the hub gets about each add-on, as a status lease and as conditions of its `ManagedClusterAddOn`.
//!
//! These files decide: `report` (the content of a report), `status_lease` and `conditions` with `rollout_message` (its two
//! forms), `condition_list` (how our conditions get into the list of all), `last_report` (whether and when a report is due).
//! `publish` talks: it is the task that writes to the hub.

mod condition_list;
mod conditions;
mod last_report;
pub mod publish;
mod report;
mod rollout_message;
mod status_lease;
