//! The Go modules in `tests/testbed`: what they say and how they are called.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

const LINK: &str = "k8s.io/component-base/version";

/// Open Cluster Management requires other versions of the same packages as Kubernetes, so it has a module of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    Kubernetes,
    Ocm,
}

impl Module {
    fn folder(self) -> PathBuf {
        let kubernetes = Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed");
        match self {
            Module::Kubernetes => kubernetes,
            Module::Ocm => kubernetes.join("ocm"),
        }
    }

    fn linker_flags(self, folder: &Path) -> Result<String> {
        match self {
            Module::Kubernetes => kubernetes_version(&fs::read_to_string(folder.join("go.mod"))?),
            Module::Ocm => Ok("-s -w".into()),
        }
    }
}

pub struct Sources {
    pub folder: PathBuf,
    /// Of every file and the linker's flags: what was built from the same hash need not be built again.
    pub hash: String,
    /// Makes the programs tell Kubernetes' version instead of v0.0.0.
    pub linker_flags: String,
}

impl Sources {
    pub fn read(module: Module) -> Result<Self> {
        let folder = module.folder();
        let linker_flags = module.linker_flags(&folder)?;
        let mut hasher = Sha256::new_with_prefix(&linker_flags);
        for file in files(&folder)? {
            hasher.update(file.strip_prefix(&folder)?.as_os_str().as_encoded_bytes());
            hasher.update(fs::read(&file)?);
        }
        let hash = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { folder, hash, linker_flags })
    }

    /// Whether what `stamp` stands for was made from these sources.
    pub fn made(&self, stamp: &Path) -> bool {
        fs::read_to_string(stamp).is_ok_and(|hash| hash == self.hash)
    }

    pub fn stamp(&self, stamp: &Path) -> Result<()> {
        fs::write(stamp, &self.hash).with_context(|| format!("write {}", stamp.display()))
    }
}

/// Says what to do where there is no Go.
pub fn check_go() -> Result<()> {
    match Command::new("go").arg("version").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "there is no `go` on the PATH: install Go 1.26 or newer, from which the test bed's etcd and Kubernetes are built"
        ),
        other => other.map(drop).context("run go version"),
    }
}

/// In a stable order, without those of a module inside.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if path.join("go.mod").is_file() {
            continue;
        }
        if path.is_dir() {
            files.extend(self::files(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn kubernetes_version(go_mod: &str) -> Result<String> {
    let required = |line: &str| line.trim().strip_prefix("k8s.io/kubernetes v").map(str::to_owned);
    let version =
        go_mod.lines().find_map(required).context("find Kubernetes' version in go.mod")?;
    let (major, rest) = version.split_once('.').context("read Kubernetes' version in go.mod")?;
    let (minor, _) = rest.split_once('.').context("read Kubernetes' version in go.mod")?;
    Ok(format!(
        "-s -w -X {LINK}.gitVersion=v{version} -X {LINK}.gitMajor={major} -X {LINK}.gitMinor={minor}"
    ))
}
