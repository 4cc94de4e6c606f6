//! Open Cluster Management itself: its controllers on a hub and its klusterlet agents on managed clusters, unchanged,
//! each with the rights that OCM's operators would give it.

mod controllers;
mod conversion;
mod hub;
pub use hub::{OcmHub, Placed};

mod fleet;
pub use fleet::Fleet;

mod klusterlet;
pub use klusterlet::Klusterlet;

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tokio::task::spawn_blocking;

use crate::process::output;
use programs::{Binaries, Tool};

/// Where OCM's operators run the hub's controllers, and the klusterlet's agents.
const HUB_NAMESPACE: &str = "open-cluster-management-hub";
const AGENT_NAMESPACE: &str = "open-cluster-management-agent";

/// Joining takes under 30 s on an idle machine.
const JOIN: Duration = Duration::from_secs(180);

/// All that OCM brought to a cluster goes first.
const LEAVE: Duration = Duration::from_secs(240);

/// OCM's program, built on the first call on a machine.
async fn binaries() -> Result<Binaries> {
    spawn_blocking(|| Binaries::ensure_also(&[Tool::Ocm])).await?
}

/// The definitions and rights that OCM's operators install on one side, `hub` or `managed`; `words` begin with it.
async fn manifests(binaries: &Binaries, words: &[&str]) -> Result<String> {
    let mut command = Command::new(binaries.path(Tool::Ocm));
    command.arg("manifests").args(words);
    output(command, &format!("ocm manifests {}", words.join(" "))).await
}
