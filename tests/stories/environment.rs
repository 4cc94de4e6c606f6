//! Faults of the environment: the agent crashes at the same place, its API server returns older data, its disk is full, its
//! permissions and credentials change. Stories that would disturb others have clusters of their own.

pub mod api_servers;
pub mod certificate_authorities;
pub mod clock;
pub mod crash_loop;
pub mod credentials;
pub mod many_add_ons;
pub mod newer_ledger;
pub mod resources;

use anyhow::{Result, ensure};
use lifecycle::{HistoryEntry, ManagedAddOnStatus, OperationKind, Phase};
use serde_json::Value;
use testbed::AddOn;
use testbed::bundle::{Bundle, Spec};
use testbed::file_server::{Behavior, FileServer};

/// Returns a version with a ConfigMap `v` and a Deployment `web`.
fn spec(name: &str, version: &str, image: &str) -> Spec {
    let bundle = Bundle::new().namespace(name).config("v", version).deployment("web", image);
    Spec::inline(version, &bundle).namespace(name)
}

/// Returns a version that a file server serves.
fn served_spec(files: &FileServer, version: &str) -> Spec {
    let text = Bundle::new().namespace("shop").config("v", version).yaml();
    let url = files.serve(&format!("/{version}"), text.as_bytes(), Behavior::Normal);
    Spec::http(version, &url, text.as_bytes()).namespace("shop")
}

/// Assigns a version whose pull fails with this message, and compares that the current version still runs.
async fn expect_pull_failure(
    add_on: &AddOn,
    spec: &Spec,
    words: &str,
    running: &str,
) -> Result<()> {
    add_on.assign(spec).await?;
    let status = add_on.until_phase(Phase::Rejected).await?;
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() == Some("PullFailed"), "{:?}", status.reason);
    ensure!(message.contains(words), "{message}");
    ensure!(add_on.config("shop", "v").await?.as_deref() == Some(running));
    Ok(())
}

/// Returns the number of rollbacks in the history.
fn rollbacks(status: &ManagedAddOnStatus) -> usize {
    let is_rollback = |entry: &&HistoryEntry| entry.operation == OperationKind::Rollback;
    status.history.iter().filter(is_rollback).count()
}

/// Returns whether an admission request writes this value, other than in a dry run.
fn is_write_of(request: &Value, value: &str) -> bool {
    request["dryRun"] == false && request.pointer("/object/data/value").is_some_and(|v| v == value)
}
