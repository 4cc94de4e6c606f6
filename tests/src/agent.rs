//! The real agent, built as a user would build it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use programs::cargo;
use programs::monitor::{Monitor, Status};
use serde_json::Value;

/// Returns the `addon-agent` program that `ADDON_AGENT` names, else the one that the first call of a process builds.
pub fn agent_binary() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("ADDON_AGENT") {
        return Ok(given.into());
    }
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = &*built {
        return Ok(path.clone());
    }
    Ok(built.insert(build(&[], &[]).context("build addon-agent")?).clone())
}

/// Returns the `addon-agent` program as it is in an image: optimised and linked statically. It is linked with musl where
/// there is a compiler and a standard library for it, else with glibc, which then cannot resolve names by DNS.
pub fn release_binary() -> Result<PathBuf> {
    let musl = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let gnu = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let static_glibc = [("RUSTFLAGS", "-C target-feature=+crt-static")];
    let (target, env) = if has_musl(&musl) { (musl, &[][..]) } else { (gnu, &static_glibc[..]) };
    build(&["--release", "--locked", "--target", &target], env)
        .with_context(|| format!("build addon-agent for {target}"))
}

fn has_musl(target: &str) -> bool {
    let library =
        Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output();
    let library = library.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let compiler = Command::new("musl-gcc").arg("--version").output();
    compiler.is_ok() && library.is_ok_and(|path| Path::new(&path).is_dir())
}

/// Builds with more arguments and returns the program's path.
fn build(more: &[&str], env: &[(&str, &str)]) -> Result<PathBuf> {
    let status = Status::default();
    let _monitor = Monitor::start_lines(std::slice::from_ref(&status));
    status.set("cargo: building addon-agent");
    let Output { status, stdout, stderr } = cargo::command()
        .args(["build", "--package", "addon-agent", "--bin", "addon-agent"])
        .args(["--message-format", "json-render-diagnostics"])
        .args(more)
        .envs(env.iter().copied())
        .output()
        .context("run cargo")?;
    ensure!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let messages = String::from_utf8_lossy(&stdout);
    messages.lines().find_map(program).context("find the program in cargo's messages")
}

/// Returns the path in cargo's message about the program.
fn program(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    (message["target"]["name"] == "addon-agent").then_some(())?;
    message["executable"].as_str().map(PathBuf::from)
}
