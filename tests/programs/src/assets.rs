//! `KUBEBUILDER_ASSETS`: programs that are there already, in a folder or in the tarball in which they are published.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, ensure};

use crate::output::follow;
use crate::{Tool, testbed_dir};

const VARIABLE: &str = "KUBEBUILDER_ASSETS";

/// Where tarballs have the programs: envtest's of today, of before, and one of a plain folder.
const FOLDERS: [&str; 4] = ["controller-tools/envtest", "kubebuilder/bin", "bin", "."];

/// Returns the folder that the variable names, if it has the programs. Unpacks a tarball once into `target/testbed`.
pub fn find() -> Result<Option<PathBuf>> {
    let Some(given) = env::var_os(VARIABLE).map(PathBuf::from) else { return Ok(None) };
    if given.is_file() {
        return unpack(&given).map(Some).with_context(|| format!("{VARIABLE}={}", given.display()));
    }
    Ok(has_programs(&given).then_some(given))
}

fn unpack(tarball: &Path) -> Result<PathBuf> {
    let folder = testbed_dir().join("assets").join(identity(tarball)?);
    if !folder.is_dir() {
        let fresh = folder.with_extension(format!("new-{}", std::process::id()));
        fs::create_dir_all(&fresh)?;
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(tarball).arg("-C").arg(&fresh);
        follow(tar, |_| false)?;
        fs::rename(&fresh, &folder).context("keep what was unpacked")?;
    }
    let folders = FOLDERS.map(|name| folder.join(name));
    let found = folders.into_iter().find(|folder| has_programs(folder));
    found.with_context(|| {
        format!("no etcd, kube-apiserver and kubectl in any of the folders {}", FOLDERS.join(", "))
    })
}

/// Returns a folder's name that another tarball, or a new one of this name, does not have.
fn identity(tarball: &Path) -> Result<String> {
    let metadata = tarball.metadata()?;
    ensure!(metadata.len() > 0, "the file is empty");
    let changed = metadata.modified()?.duration_since(UNIX_EPOCH)?.as_secs();
    let name = tarball.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!("{name}-{}-{changed}", metadata.len()).replace('.', "-"))
}

fn has_programs(folder: &Path) -> bool {
    Tool::ASSETS.iter().all(|tool| folder.join(tool.name()).is_file())
}
