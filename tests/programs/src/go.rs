//! Builds programs with Go.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::Tool;
use crate::monitor::Status;
use crate::output::follow;
use crate::sources::Sources;

/// Builds `tools`, which are all of one module, into `folder`.
pub fn build(tools: &[Tool], sources: &Sources, folder: &Path, status: &Status) -> Result<()> {
    let names: Vec<&str> = tools.iter().map(|tool| tool.name()).collect();
    build_all(tools, sources, folder, status).with_context(|| format!("build {}", names.join(", ")))
}

fn build_all(tools: &[Tool], sources: &Sources, folder: &Path, status: &Status) -> Result<()> {
    status.set("Go: reading modules");
    // A control plane may be running an old program, so that it is replaced and not written over.
    let fresh = folder.join("new");
    fs::create_dir_all(&fresh)?;
    let packages: Vec<&str> = tools.iter().map(|tool| tool.package()).collect();
    let total = count_packages(&packages, sources, status)?;
    compile(&packages, sources, &fresh, total, status)?;
    for tool in tools {
        fs::rename(fresh.join(tool.name()), folder.join(tool.name()))?;
        sources.stamp(&stamp(*tool, folder))?;
    }
    Ok(())
}

/// Returns whether `folder` has the program as `sources` make it.
pub fn is_built(tool: Tool, sources: &Sources, folder: &Path) -> bool {
    folder.join(tool.name()).is_file() && sources.made(&stamp(tool, folder))
}

fn stamp(tool: Tool, folder: &Path) -> std::path::PathBuf {
    folder.join(format!("{}.stamp", tool.name()))
}

/// Returns how many packages `packages` consist of. Downloads their modules.
fn count_packages(packages: &[&str], sources: &Sources, status: &Status) -> Result<usize> {
    let mut list = command(["list"], sources)?;
    list.args(["-deps", "-tags", sources.tags]).args(packages);
    Ok(follow(list, |line| is_download(line, status))?.lines().count())
}

fn compile(
    packages: &[&str],
    sources: &Sources,
    folder: &Path,
    total: usize,
    status: &Status,
) -> Result<()> {
    let mut build = command(["build"], sources)?;
    build
        .args(["-v", "-trimpath", "-buildvcs=false", "-tags", sources.tags])
        // Nobody debugs these programs.
        .args(["-gcflags=all=-dwarf=false", "-ldflags", &sources.linker_flags])
        .arg("-o")
        .arg(folder)
        .args(packages)
        .env("CGO_ENABLED", "0");
    let mut compiled = BTreeSet::new();
    follow(build, |line| {
        // Go prints the name of a package when its compilation starts, and errors below a line with `#`.
        let is_package = !line.contains(char::is_whitespace) && !line.contains(':');
        if is_package && compiled.insert(line.to_owned()) {
            status.set(format!("Go: {} of {total} packages, {line}", compiled.len()));
        }
        is_package || is_download(line, status)
    })
    .map(drop)
}

fn is_download(line: &str, status: &Status) -> bool {
    let module = line.strip_prefix("go: downloading ");
    if let Some(module) = module {
        status.set(format!("Go: downloading {module}"));
    }
    module.is_some()
}

/// Returns a command of Go for a module of the test bed.
pub fn command<const N: usize>(words: [&str; N], sources: &Sources) -> Result<Command> {
    check_version()?;
    let mut go = Command::new("go");
    go.args(words).arg("-C").arg(&sources.folder).arg("-modfile").arg(&sources.go_mod);
    go.env("GOWORK", "off");
    Ok(go)
}

/// Fails with an advice where there is no Go.
fn check_version() -> Result<()> {
    match Command::new("go").arg("version").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "there is no `go` on the PATH: install Go 1.26 or newer, from which the test bed's etcd and Kubernetes are built"
        ),
        other => other.map(drop).context("run go version"),
    }
}
