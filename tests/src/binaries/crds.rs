//! Open Cluster Management's CRD files, copied out of its API's Go module.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::build::tell;
use super::sources::{Sources, check_go};

const MODULE: &str = "open-cluster-management.io/api";

const FILES: [&str; 6] = [
    "cluster/v1/0000_00_clusters.open-cluster-management.io_managedclusters.crd.yaml",
    "addon/v1alpha1/0000_00_addon.open-cluster-management.io_clustermanagementaddons.crd.yaml",
    "addon/v1alpha1/0000_01_addon.open-cluster-management.io_managedclusteraddons.crd.yaml",
    "addon/v1alpha1/0000_02_addon.open-cluster-management.io_addondeploymentconfigs.crd.yaml",
    "addon/v1alpha1/0000_03_addon.open-cluster-management.io_addontemplates.crd.yaml",
    "work/v1/0000_00_work.open-cluster-management.io_manifestworks.crd.yaml",
];

/// Copies them into `folder` unless they are there.
pub fn ensure(sources: &Sources, folder: &Path) -> Result<()> {
    let stamp = folder.join("stamp");
    if sources.made(&stamp) {
        return Ok(());
    }
    check_go()?;
    tell("fetching Open Cluster Management's CRDs");
    let module = download(sources)?;
    fs::create_dir_all(folder)?;
    for file in FILES {
        // Copied by content: the module cache is read-only, and so would be a copy made by fs::copy.
        let yaml =
            fs::read(module.join(file)).with_context(|| format!("read {file} of {MODULE}"))?;
        fs::write(target(folder, file), yaml)?;
    }
    sources.stamp(&stamp)
}

pub fn read(folder: &Path) -> Result<Vec<String>> {
    let read =
        |file| fs::read_to_string(target(folder, file)).with_context(|| format!("read {file}"));
    FILES.into_iter().map(read).collect()
}

fn target(folder: &Path, file: &str) -> PathBuf {
    folder.join(Path::new(file).file_name().unwrap_or_default())
}

/// Where the module is after Go has fetched it.
fn download(sources: &Sources) -> Result<PathBuf> {
    let mut go = Command::new("go");
    go.arg("mod")
        .arg("download")
        .arg("-C")
        .arg(&sources.folder)
        .arg("-modfile")
        .arg(&sources.go_mod)
        .args(["-json", MODULE])
        .env("GOWORK", "off");
    let output = go.output().context("run go mod download")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "go could not download {MODULE}: {complaint}");
    let module: Value =
        serde_json::from_slice(&output.stdout).context("read what go mod download says")?;
    module["Dir"]
        .as_str()
        .map(PathBuf::from)
        .context("find the folder in what go mod download says")
}
