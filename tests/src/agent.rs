//! The real agent, built as a user would build it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
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

/// The `addon-agent` program as it is in an image: optimised, and linked statically. With musl where there is a
/// compiler and a standard library for it, else with glibc, which then cannot look names up in the DNS.
pub fn release_binary() -> Result<PathBuf> {
    let musl = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let gnu = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let static_glibc = [("RUSTFLAGS", "-C target-feature=+crt-static")];
    let (target, env) = if has_musl(&musl) { (musl, &[][..]) } else { (gnu, &static_glibc[..]) };
    cargo(&["--release", "--locked", "--target", &target], env)
        .with_context(|| format!("build addon-agent for {target}"))
}

fn has_musl(target: &str) -> bool {
    let library =
        Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output();
    let library = library.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let compiler = Command::new("musl-gcc").arg("--version").output();
    compiler.is_ok() && library.is_ok_and(|path| Path::new(&path).is_dir())
}

fn build() -> Result<PathBuf> {
    cargo(&[], &[])
}

/// Builds with more arguments; says where the program is.
fn cargo(more: &[&str], env: &[(&str, &str)]) -> Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    std::env::vars_os().map(|(name, _)| name).filter(tells_of_package).for_each(|name| {
        command.env_remove(name);
    });
    let Output { status, stdout, stderr } = command
        .current_dir(target::workspace_dir())
        .args(["build", "--quiet", "--package", "addon-agent", "--bin", "addon-agent"])
        .args(["--message-format", "json-render-diagnostics"])
        .args(more)
        .envs(env.iter().copied())
        .output()
        .context("run cargo")?;
    ensure!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let messages = String::from_utf8_lossy(&stdout);
    messages.lines().find_map(program).context("find the program in what cargo says")
}

/// Cargo tells a program that it runs of that program's package. Build scripts that read the same variables, such as
/// ring's, would run anew, and all that stands on them would be built anew, at each change between this cargo and that.
fn tells_of_package(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// The path in cargo's message that the program is built.
fn program(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    (message["target"]["name"] == "addon-agent").then_some(())?;
    message["executable"].as_str().map(PathBuf::from)
}
