//! The programs of a test bed: taken from `KUBEBUILDER_ASSETS`, or built once into `target/testbed/bin`. The control
//! plane, OCM's CRDs, and OCM itself may be of another release: see `Module::chosen`.

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

mod build;
mod crds;
mod sources;

use crate::target;
use sources::{Module, Sources};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Etcd,
    ApiServer,
    ControllerManager,
    Scheduler,
    Kubectl,
    Kwok,
    Kubelet,
    KubeProxy,
    /// What runs in the containers of tests.
    Pod,
    Ocm,
    Helm,
    Registry,
    Oras,
}

impl Tool {
    /// What a control plane consists of, kwok and kubectl included.
    const CONTROL_PLANE: [Self; 6] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubectl,
        Self::Kwok,
    ];

    /// Without these a folder is not taken for `KUBEBUILDER_ASSETS`.
    const ASSETS: [Self; 3] = [Self::Etcd, Self::ApiServer, Self::Kubectl];

    /// The program's file name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubectl => "kubectl",
            Self::Kwok => "kwok",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Pod => "pod",
            Self::Ocm => "ocm",
            Self::Helm => "helm",
            Self::Registry => "registry",
            Self::Oras => "oras",
        }
    }

    /// The Go module it is built from, where the control plane and OCM are of these releases.
    fn module(self, release: Module, ocm: Module) -> Module {
        match self {
            Self::ApiServer | Self::ControllerManager | Self::Scheduler => release,
            Self::Etcd
            | Self::Kubectl
            | Self::Kwok
            | Self::Kubelet
            | Self::KubeProxy
            | Self::Pod => Module::Kubernetes,
            Self::Ocm => ocm,
            Self::Helm => Module::Helm,
            Self::Registry | Self::Oras => Module::Oci,
        }
    }
}

/// All programs and OCM's CRD files, present on disk.
#[derive(Clone, Debug)]
pub struct Binaries {
    assets: Option<PathBuf>,
    release: Module,
    ocm: Module,
}

impl Binaries {
    /// Finds what is there and builds the rest, telling on stderr how far it is. One process builds at a time;
    /// the others wait for it. What was built serves until `tests/testbed` changes.
    pub fn ensure() -> Result<Self> {
        static ENSURED: Mutex<Option<Binaries>> = Mutex::new(None);
        let mut ensured = ENSURED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(binaries) = &*ensured {
            return Ok(binaries.clone());
        }
        let binaries = Self::find_or_build().context("prepare the test bed's programs")?;
        Ok(ensured.insert(binaries).clone())
    }

    /// The same for programs that most tests do not need: those of a node, and OCM's.
    pub fn ensure_also(tools: &[Tool]) -> Result<Self> {
        let binaries = Self::ensure()?;
        let _lock = lock()?;
        for tool in tools {
            binaries.build(*tool)?;
        }
        Ok(binaries)
    }

    pub fn path(&self, tool: Tool) -> PathBuf {
        let built = || tool.module(self.release, self.ocm).programs().join(tool.name());
        self.given(tool).unwrap_or_else(built)
    }

    /// OCM's CRDs, one YAML text each.
    pub fn ocm_crds(&self) -> Result<Vec<String>> {
        crds::read(&self.release.crds())
    }

    fn find_or_build() -> Result<Self> {
        let testbed = target::testbed_dir();
        fs::create_dir_all(&testbed).with_context(|| format!("create {}", testbed.display()))?;
        let release = Module::chosen()?;
        let assets = if release == Module::Kubernetes { assets() } else { None };
        let binaries = Self { assets, release, ocm: Module::chosen_ocm()? };
        let _lock = lock()?;
        for tool in Tool::CONTROL_PLANE.into_iter().filter(|tool| binaries.given(*tool).is_none()) {
            binaries.build(tool)?;
        }
        crds::ensure(&Sources::read(release)?, &release.crds())?;
        Ok(binaries)
    }

    fn build(&self, tool: Tool) -> Result<()> {
        let module = tool.module(self.release, self.ocm);
        build::ensure(tool, &Sources::read(module)?, &module.programs())
    }

    fn given(&self, tool: Tool) -> Option<PathBuf> {
        let path = self.assets.as_ref()?.join(tool.name());
        path.is_file().then_some(path)
    }
}

/// Held for as long as the value lives: one process builds at a time.
fn lock() -> Result<File> {
    let lock = File::create(target::testbed_dir().join("lock"))?;
    if lock.try_lock().is_err() {
        build::tell("waiting for another process, which may be building");
        lock.lock().context("wait for another build of the test bed")?;
    }
    Ok(lock)
}

fn assets() -> Option<PathBuf> {
    let folder = PathBuf::from(env::var_os("KUBEBUILDER_ASSETS")?);
    Tool::ASSETS.iter().all(|tool| folder.join(tool.name()).is_file()).then_some(folder)
}
