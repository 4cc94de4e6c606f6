//! The Go modules in `tests/testbed`: what they say and how they are called.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::target;

const LINK: &str = "k8s.io/component-base/version";

/// The variables that ask for another Kubernetes and another OCM than the test bed's own.
const KUBERNETES: &str = "TESTBED_KUBERNETES";
const OCM: &str = "TESTBED_OCM";

/// Open Cluster Management, Helm and the registry require other versions of the same packages as Kubernetes, so each has
/// a module of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    Kubernetes,
    /// The oldest Kubernetes that is supported.
    Oldest,
    /// The newest one there is, and OCM's CRDs as newer hubs have them.
    Newest,
    Ocm,
    /// The newest one whose module is to be had.
    OcmNewest,
    Helm,
    /// A registry, and what pushes to it.
    Oci,
}

impl Module {
    /// What control planes are of.
    pub fn chosen() -> Result<Self> {
        match env::var(KUBERNETES).unwrap_or_default().as_str() {
            "" => Ok(Self::Kubernetes),
            "oldest" => Ok(Self::Oldest),
            "newest" => Ok(Self::Newest),
            other => bail!("{KUBERNETES} is `{other}`, and can be `oldest` or `newest`"),
        }
    }

    /// What OCM's controllers and agents are of.
    pub fn chosen_ocm() -> Result<Self> {
        match env::var(OCM).unwrap_or_default().as_str() {
            "" => Ok(Self::Ocm),
            "newest" => Ok(Self::OcmNewest),
            other => bail!("{OCM} is `{other}`, and can be `newest`"),
        }
    }

    /// Where what is built from it is kept.
    pub fn programs(self) -> PathBuf {
        self.target().join("bin")
    }

    /// Where OCM's CRDs are kept, as it requires them.
    pub fn crds(self) -> PathBuf {
        self.target().join("crds")
    }

    fn target(self) -> PathBuf {
        match self {
            Self::Kubernetes | Self::Ocm | Self::Helm | Self::Oci => target::testbed_dir(),
            Self::Oldest => target::testbed_dir().join("oldest"),
            Self::Newest => target::testbed_dir().join("newest"),
            Self::OcmNewest => target::testbed_dir().join("ocm-newest"),
        }
    }

    /// Where its lines of Go are, which are the same for all releases.
    fn folder(self) -> PathBuf {
        match self {
            Self::Kubernetes | Self::Oldest | Self::Newest => testbed(),
            Self::Ocm | Self::OcmNewest => testbed().join("ocm"),
            Self::Helm => testbed().join("helm"),
            Self::Oci => testbed().join("oci"),
        }
    }

    /// Where its go.mod is.
    fn requirements(self) -> PathBuf {
        match self {
            Self::Kubernetes | Self::Ocm | Self::Helm | Self::Oci => self.folder(),
            Self::Oldest => testbed().join("oldest"),
            Self::Newest => testbed().join("newest"),
            Self::OcmNewest => testbed().join("ocm").join("newest"),
        }
    }

    /// Lines of Go that are for some releases only.
    fn tags(self) -> &'static str {
        if self == Self::OcmNewest { "newest" } else { "" }
    }

    fn linker_flags(self, go_mod: &Path) -> Result<String> {
        match self {
            Self::Kubernetes | Self::Oldest | Self::Newest => {
                kubernetes_version(&fs::read_to_string(go_mod)?)
            }
            Self::Ocm | Self::OcmNewest | Self::Helm | Self::Oci => Ok("-s -w".into()),
        }
    }
}

pub struct Sources {
    pub folder: PathBuf,
    pub go_mod: PathBuf,
    /// Of every file, the linker's flags and the tags: what was built from the same hash need not be built again.
    pub hash: String,
    /// Makes the programs tell Kubernetes' version instead of v0.0.0.
    pub linker_flags: String,
    /// Go's build tags.
    pub tags: &'static str,
}

impl Sources {
    pub fn read(module: Module) -> Result<Self> {
        let (folder, requirements) = (module.folder(), module.requirements());
        let go_mod = requirements.join("go.mod");
        let linker_flags = module.linker_flags(&go_mod)?;
        let mut read = files(&folder)?;
        if requirements != folder {
            read.extend(files(&requirements)?);
        }
        let hash = hash(&format!("{linker_flags}{}", module.tags()), &folder, &read)?;
        Ok(Self { folder, go_mod, hash, linker_flags, tags: module.tags() })
    }

    /// Whether what `stamp` stands for was made from these sources.
    pub fn made(&self, stamp: &Path) -> bool {
        fs::read_to_string(stamp).is_ok_and(|hash| hash == self.hash)
    }

    pub fn stamp(&self, stamp: &Path) -> Result<()> {
        fs::write(stamp, &self.hash).with_context(|| format!("write {}", stamp.display()))
    }
}

fn testbed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed")
}

fn hash(flags: &str, folder: &Path, files: &[PathBuf]) -> Result<String> {
    let mut hasher = Sha256::new_with_prefix(flags);
    for file in files {
        hasher.update(file.strip_prefix(folder)?.as_os_str().as_encoded_bytes());
        hasher.update(fs::read(file)?);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
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
