//! The real agent, built as a user would build it.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::target;

/// The `addon-agent` program, built on the first call of a process. Cargo's own messages go to stderr only on failure.
/// Where `ADDON_AGENT` names a program, that is the agent.
pub fn agent_binary() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("ADDON_AGENT") {
        return Ok(given.into());
    }
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = &*built {
        return Ok(path.clone());
    }
    Ok(built.insert(build().context("build addon-agent")?).clone())
}

fn build() -> Result<PathBuf> {
    let Output { status, stdout, stderr } =
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(target::workspace_dir())
            .args(["build", "--quiet", "--package", "addon-agent", "--bin", "addon-agent"])
            .args(["--message-format", "json-render-diagnostics"])
            .output()
            .context("run cargo")?;
    ensure!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let messages = String::from_utf8_lossy(&stdout);
    messages.lines().find_map(program).context("find the program in what cargo says")
}

/// The path in cargo's message that the program is built.
fn program(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    (message["target"]["name"] == "addon-agent").then_some(())?;
    message["executable"].as_str().map(PathBuf::from)
}
