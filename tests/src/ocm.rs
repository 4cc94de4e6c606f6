//! Open Cluster Management itself: its controllers on a hub and its klusterlet agents on managed clusters, unchanged.
//! Each has the rights that OCM's operators give it.

mod controllers;
mod conversion;
mod hub;
pub use hub::{OcmHub, TemplateReference};

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

/// The namespace in which OCM's operators run the hub's controllers.
const HUB_NAMESPACE: &str = "open-cluster-management-hub";

/// The namespace in which OCM's operators run the klusterlet's agents.
const AGENT_NAMESPACE: &str = "open-cluster-management-agent";

/// Joining takes under 30 s on an idle machine.
const JOIN: Duration = Duration::from_secs(180);

/// OCM first removes everything that it has installed on the cluster.
const LEAVE: Duration = Duration::from_secs(240);

/// Returns OCM's program, which is built on the first call on a machine.
async fn binaries() -> Result<Binaries> {
    spawn_blocking(|| Binaries::ensure_also(&[Tool::Ocm])).await?
}

/// Returns the CRDs and rights that OCM's operators install on one side, `hub` or `managed`, the first of `words`.
async fn manifests(binaries: &Binaries, words: &[&str]) -> Result<String> {
    let mut command = Command::new(binaries.path(Tool::Ocm));
    command.arg("manifests").args(words);
    output(command, &format!("ocm manifests {}", words.join(" "))).await
}
