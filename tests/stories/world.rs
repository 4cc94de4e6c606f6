//! What the world does to an agent: it dies at the same place, its API server comes back older, its disk is full, its
//! rights and credentials go and come. Those that harm more than themselves have clusters of their own.

pub mod clock;
pub mod crashes;
pub mod credentials;
pub mod crowds;
pub mod disk;
pub mod ledger;
pub mod servers;

use lifecycle::{HistoryEntry, ManagedAddOnStatus, OperationKind};
use serde_json::Value;
use testbed::bundle::{Bundle, Spec};

fn spec(name: &str, version: &str, image: &str) -> Spec {
    let bundle = Bundle::new().namespace(name).config("v", version).deployment("web", image);
    Spec::inline(version, &bundle).namespace(name)
}

fn rollbacks(status: &ManagedAddOnStatus) -> usize {
    let is = |entry: &&HistoryEntry| entry.operation == OperationKind::Rollback;
    status.history.iter().filter(is).count()
}

/// Whether an admission request is to write this value, and not only to try.
fn writes(asked: &Value, value: &str) -> bool {
    asked["dryRun"] == false && asked.pointer("/object/data/value").is_some_and(|v| v == value)
}
