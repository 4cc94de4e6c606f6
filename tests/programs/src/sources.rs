//! The Go modules in `tests/testbed`: where they are, what they require, and how they are built.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::target;

const LINK: &str = "k8s.io/component-base/version";

/// Asks for another Kubernetes than the test bed's own.
const KUBERNETES: &str = "TESTBED_KUBERNETES";

/// Asks for another OCM than the test bed's own.
const OCM: &str = "TESTBED_OCM";

/// A Go module of the test bed. Open Cluster Management, Helm and the registry require other versions of the same packages
/// than Kubernetes does, so that each has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    Kubernetes,
    /// The oldest supported Kubernetes.
    Oldest,
    /// The newest Kubernetes, and OCM's CRDs as newer hubs have them.
    Newest,
    Ocm,
    /// The newest OCM whose module is published.
    OcmNewest,
    Helm,
    /// A registry, and the client that pushes to it.
    Oci,
}

impl Module {
    pub const ALL: [Self; 7] = [
        Self::Kubernetes,
        Self::Oldest,
        Self::Newest,
        Self::Ocm,
        Self::OcmNewest,
        Self::Helm,
        Self::Oci,
    ];

    /// Returns the module of control planes.
    pub fn chosen() -> Result<Self> {
        match env::var(KUBERNETES).unwrap_or_default().as_str() {
            "" => Ok(Self::Kubernetes),
            "oldest" => Ok(Self::Oldest),
            "newest" => Ok(Self::Newest),
            other => bail!("{KUBERNETES} is `{other}`, and can be `oldest` or `newest`"),
        }
    }

    /// Returns the module of OCM's controllers and agents.
    pub fn chosen_ocm() -> Result<Self> {
        match env::var(OCM).unwrap_or_default().as_str() {
            "" => Ok(Self::Ocm),
            "newest" => Ok(Self::OcmNewest),
            other => bail!("{OCM} is `{other}`, and can be `newest`"),
        }
    }

    /// Returns the folder of the module's programs.
    pub fn programs(self) -> PathBuf {
        self.target().join("bin")
    }

    /// Returns the folder of OCM's CRDs in the version that the module requires.
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

    /// Returns the folder of the module's Go code, which all releases share.
    fn folder(self) -> PathBuf {
        match self {
            Self::Kubernetes | Self::Oldest | Self::Newest => testbed(),
            Self::Ocm | Self::OcmNewest => testbed().join("ocm"),
            Self::Helm => testbed().join("helm"),
            Self::Oci => testbed().join("oci"),
        }
    }

    /// Returns the folder of the module's go.mod.
    fn requirements(self) -> PathBuf {
        match self {
            Self::Kubernetes | Self::Ocm | Self::Helm | Self::Oci => self.folder(),
            Self::Oldest => testbed().join("oldest"),
            Self::Newest => testbed().join("newest"),
            Self::OcmNewest => testbed().join("ocm").join("newest"),
        }
    }

    /// Returns Go's build tags, which select code for some releases only.
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

/// The code of a module, and the flags by which it is built.
pub struct Sources {
    pub folder: PathBuf,
    pub go_mod: PathBuf,
    /// The hash of every file, the linker's flags and the tags.
    pub hash: String,
    /// Set the version that Kubernetes' programs report, which is v0.0.0 by default.
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

    /// Returns whether `stamp` was written for these sources.
    pub fn made(&self, stamp: &Path) -> bool {
        fs::read_to_string(stamp).is_ok_and(|hash| hash == self.hash)
    }

    pub fn stamp(&self, stamp: &Path) -> Result<()> {
        fs::write(stamp, &self.hash).with_context(|| format!("write {}", stamp.display()))
    }
}

fn testbed() -> PathBuf {
    target::workspace_dir().join("tests").join("testbed")
}

/// Another release of Rust may hash otherwise. Everything is then linked once more.
fn hash(flags: &str, folder: &Path, files: &[PathBuf]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    hasher.write(flags.as_bytes());
    for file in files {
        hasher.write(file.strip_prefix(folder)?.as_os_str().as_encoded_bytes());
        hasher.write(&fs::read(file)?);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Returns the files in a stable order, without those of a module inside.
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
