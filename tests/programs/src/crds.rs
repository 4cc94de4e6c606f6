//! Open Cluster Management's CRD files, copied out of its API's Go module.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::go;
use crate::monitor::Status;
use crate::output::follow;
use crate::sources::Sources;

const MODULE: &str = "open-cluster-management.io/api";

const FILES: [&str; 6] = [
    "cluster/v1/0000_00_clusters.open-cluster-management.io_managedclusters.crd.yaml",
    "addon/v1alpha1/0000_00_addon.open-cluster-management.io_clustermanagementaddons.crd.yaml",
    "addon/v1alpha1/0000_01_addon.open-cluster-management.io_managedclusteraddons.crd.yaml",
    "addon/v1alpha1/0000_02_addon.open-cluster-management.io_addondeploymentconfigs.crd.yaml",
    "addon/v1alpha1/0000_03_addon.open-cluster-management.io_addontemplates.crd.yaml",
    "work/v1/0000_00_work.open-cluster-management.io_manifestworks.crd.yaml",
];

/// Copies the files into `folder`.
pub fn copy(sources: &Sources, folder: &Path, status: &Status) -> Result<()> {
    status.set("Go: downloading Open Cluster Management's CRDs");
    let module = download(sources)?;
    fs::create_dir_all(folder)?;
    for file in FILES {
        // By content: the module cache is read-only, and so would be a copy made by fs::copy.
        let yaml =
            fs::read(module.join(file)).with_context(|| format!("read {file} of {MODULE}"))?;
        fs::write(target(folder, file), yaml)?;
    }
    sources.stamp(&stamp(folder))
}

/// Returns whether `folder` has the files that `sources` require.
pub fn are_copied(sources: &Sources, folder: &Path) -> bool {
    sources.made(&stamp(folder))
}

/// Returns the content of each file.
pub fn read(folder: &Path) -> Result<Vec<String>> {
    let read =
        |file| fs::read_to_string(target(folder, file)).with_context(|| format!("read {file}"));
    FILES.into_iter().map(read).collect()
}

fn stamp(folder: &Path) -> PathBuf {
    folder.join("stamp")
}

fn target(folder: &Path, file: &str) -> PathBuf {
    folder.join(Path::new(file).file_name().unwrap_or_default())
}

/// Returns the module's folder in Go's cache.
fn download(sources: &Sources) -> Result<PathBuf> {
    let mut download = go::command(["mod", "download"], sources)?;
    download.arg(MODULE);
    follow(download, |_| false)?;
    let mut list = go::command(["list"], sources)?;
    list.args(["-m", "-f", "{{.Dir}}", MODULE]);
    let folder = follow(list, |_| false)?;
    ensure!(!folder.trim().is_empty(), "go does not say where {MODULE} is");
    Ok(PathBuf::from(folder.trim()))
}
