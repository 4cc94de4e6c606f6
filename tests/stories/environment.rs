//! What the world does to an agent: it dies at the same place, its API server comes back older, its disk is full, its
//! rights and credentials go and come. Those that harm more than themselves have clusters of their own.

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

fn spec(name: &str, version: &str, image: &str) -> Spec {
    let bundle = Bundle::new().namespace(name).config("v", version).deployment("web", image);
    Spec::inline(version, &bundle).namespace(name)
}

fn served(files: &FileServer, version: &str) -> Spec {
    let text = Bundle::new().namespace("shop").config("v", version).yaml();
    let url = files.serve(&format!("/{version}"), text.as_bytes(), Behavior::Normal);
    Spec::http(version, &url, text.as_bytes()).namespace("shop")
}

/// The version is refused in these words, and the one that runs is left alone.
async fn is_refused(add_on: &AddOn, spec: &Spec, words: &str, running: &str) -> Result<()> {
    add_on.assign(spec).await?;
    let status = add_on.until_phase(Phase::Rejected).await?;
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() == Some("PullFailed"), "{:?}", status.reason);
    ensure!(message.contains(words), "{message}");
    ensure!(add_on.config("shop", "v").await?.as_deref() == Some(running));
    Ok(())
}

fn rollbacks(status: &ManagedAddOnStatus) -> usize {
    let is = |entry: &&HistoryEntry| entry.operation == OperationKind::Rollback;
    status.history.iter().filter(is).count()
}

/// Whether an admission request is to write this value, and not only to try.
fn writes(asked: &Value, value: &str) -> bool {
    asked["dryRun"] == false && asked.pointer("/object/data/value").is_some_and(|v| v == value)
}
