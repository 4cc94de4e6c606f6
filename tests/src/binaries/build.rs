//! Building one program with Go, and telling a waiting person how far it is.

use std::fs;
use std::io::{Write, stderr};
use std::path::Path;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Tool;
use super::sources::{Sources, check_go};
use crate::process::Process;

const NEWS_EVERY: Duration = Duration::from_secs(20);

/// Builds `tool` into `folder` unless it is there.
pub fn ensure(tool: Tool, sources: &Sources, folder: &Path) -> Result<()> {
    let [program, stamp] =
        ["", ".stamp"].map(|ending| folder.join(format!("{}{ending}", tool.name())));
    if program.is_file() && sources.made(&stamp) {
        return Ok(());
    }
    check_go()?;
    fs::create_dir_all(folder)?;
    let started = Instant::now();
    tell(&format!("building {} from Go modules, once; on two cores {}", tool.name(), usual(tool)));
    // A control plane may be running the old program, so it is replaced, not written over.
    let fresh = folder.join(format!("{}.new", tool.name()));
    go_build(tool, sources, &fresh, &folder.join("build.log"))?;
    fs::rename(&fresh, &program)?;
    sources.stamp(&stamp)?;
    tell(&format!("built {} in {} s", tool.name(), started.elapsed().as_secs()));
    Ok(())
}

fn go_build(tool: Tool, sources: &Sources, output: &Path, log: &Path) -> Result<()> {
    let [folder, go_mod, output] =
        [&sources.folder, &sources.go_mod, output].map(|path| path.to_string_lossy());
    let args = [
        "build",
        "-C",
        &folder,
        "-modfile",
        &go_mod,
        "-trimpath",
        "-buildvcs=false",
        "-tags",
        sources.tags,
        "-ldflags",
        &sources.linker_flags,
        "-o",
        &output,
        package(tool),
    ];
    fs::write(log, "")?;
    let go =
        Process::spawn(Path::new("go"), args, &[("CGO_ENABLED", "0"), ("GOWORK", "off")], log)?;
    let status = follow(tool, &go)?;
    ensure!(status.success(), "go could not build {}\n{}", tool.name(), go.last_lines(20));
    Ok(())
}

/// Blocks until Go is done.
fn follow(tool: Tool, go: &Process) -> Result<ExitStatus> {
    let started = Instant::now();
    let mut told = started;
    loop {
        if let Some(status) = go.exited()? {
            return Ok(status);
        }
        if told.elapsed() >= NEWS_EVERY {
            told = Instant::now();
            tell(&format!(
                "still building {}, {} s so far",
                tool.name(),
                started.elapsed().as_secs()
            ));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Straight to stderr: libtest keeps what `eprintln!` says of a test that passes.
pub fn tell(news: &str) {
    writeln!(stderr(), "test bed: {news}").ok();
}

fn package(tool: Tool) -> &'static str {
    match tool {
        Tool::Etcd => "./cmd/etcd",
        Tool::ApiServer => "./cmd/kube-apiserver",
        Tool::ControllerManager => "./cmd/kube-controller-manager",
        Tool::Scheduler => "./cmd/kube-scheduler",
        Tool::Kubectl => "./cmd/kubectl",
        Tool::Kwok => "sigs.k8s.io/kwok/cmd/kwok",
        Tool::Kubelet => "./cmd/kubelet",
        Tool::KubeProxy => "./cmd/kube-proxy",
        Tool::Pod => "./cmd/pod",
        Tool::Ocm => ".",
        Tool::Helm => "helm.sh/helm/v4/cmd/helm",
        Tool::Registry => "./cmd/registry",
        Tool::Oras => "oras.land/oras/cmd/oras",
    }
}

/// From nothing, in this order, downloads included.
fn usual(tool: Tool) -> &'static str {
    match tool {
        Tool::Etcd => "about half a minute",
        Tool::ApiServer => "two to four minutes",
        Tool::Ocm | Tool::Helm => "about three minutes",
        Tool::ControllerManager | Tool::Kubelet | Tool::Registry => "about a minute",
        Tool::Scheduler | Tool::Kubectl | Tool::Kwok | Tool::KubeProxy | Tool::Pod | Tool::Oras => {
            "some seconds"
        }
    }
}
