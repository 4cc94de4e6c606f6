//! The programs of a test bed: taken from `KUBEBUILDER_ASSETS`, or built once into `target/testbed/bin`.

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
        }
    }

    /// The Go module it is built from.
    fn module(self) -> Module {
        match self {
            Self::Etcd
            | Self::ApiServer
            | Self::ControllerManager
            | Self::Scheduler
            | Self::Kubectl
            | Self::Kwok
            | Self::Kubelet
            | Self::KubeProxy
            | Self::Pod => Module::Kubernetes,
            Self::Ocm => Module::Ocm,
        }
    }
}

/// All programs and OCM's CRD files, present on disk.
#[derive(Clone, Debug)]
pub struct Binaries {
    assets: Option<PathBuf>,
    built: PathBuf,
    crds: PathBuf,
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
            build::ensure(*tool, &Sources::read(tool.module())?, &binaries.built)?;
        }
        Ok(binaries)
    }

    pub fn path(&self, tool: Tool) -> PathBuf {
        self.given(tool).unwrap_or_else(|| self.built.join(tool.name()))
    }

    /// OCM's CRDs, one YAML text each.
    pub fn ocm_crds(&self) -> Result<Vec<String>> {
        crds::read(&self.crds)
    }

    fn find_or_build() -> Result<Self> {
        let testbed = target::testbed_dir();
        let binaries =
            Self { assets: assets(), built: testbed.join("bin"), crds: testbed.join("crds") };
        fs::create_dir_all(&binaries.built)
            .with_context(|| format!("create {}", testbed.display()))?;
        let _lock = lock()?;
        let sources = Sources::read(Module::Kubernetes)?;
        for tool in Tool::CONTROL_PLANE.into_iter().filter(|tool| binaries.given(*tool).is_none()) {
            build::ensure(tool, &sources, &binaries.built)?;
        }
        crds::ensure(&sources, &binaries.crds)?;
        Ok(binaries)
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
