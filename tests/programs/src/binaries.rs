//! Finds the programs of a test bed and builds the missing ones. `TESTBED_KUBERNETES` and `TESTBED_OCM` choose other
//! releases: see [`Module`].

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::monitor::{Monitor, Status};
use crate::sources::{Module, Sources};
use crate::{Tool, assets, crds, go, testbed_dir};

/// All programs and OCM's CRD files, present on disk.
#[derive(Clone, Debug)]
pub struct Binaries {
    assets: Option<PathBuf>,
    release: Module,
    ocm: Module,
}

impl Binaries {
    /// Finds the programs of a control plane and builds the missing ones, with progress on stderr. One process builds at a
    /// time; the others wait for it. A program is built again when `tests/testbed` changes.
    pub fn ensure() -> Result<Self> {
        Self::ensure_also(&[])
    }

    /// Finds or builds `tools`, too.
    pub fn ensure_also(tools: &[Tool]) -> Result<Self> {
        static ENSURED: Mutex<Option<(Binaries, Vec<Tool>)>> = Mutex::new(None);
        let mut ensured = ENSURED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((binaries, present)) = &*ensured
            && tools.iter().all(|tool| present.contains(tool))
        {
            return Ok(binaries.clone());
        }
        let status = Status::default();
        let _monitor = Monitor::start_lines(std::slice::from_ref(&status));
        let binaries = Self::prepare(tools, &status)?;
        let (_, present) = ensured.get_or_insert((binaries.clone(), Vec::new()));
        present.extend(tools);
        Ok(binaries)
    }

    /// Finds or builds the programs of a control plane and `tools`, with the progress in `status`.
    pub fn prepare(tools: &[Tool], status: &Status) -> Result<Self> {
        let prepared = Self::find_or_build(tools, status);
        status.clear();
        prepared.context("prepare the test bed's programs")
    }

    pub fn path(&self, tool: Tool) -> PathBuf {
        let built = || tool.module(self.release, self.ocm).programs().join(tool.name());
        self.given(tool).unwrap_or_else(built)
    }

    /// Returns OCM's CRDs, one YAML text each.
    pub fn ocm_crds(&self) -> Result<Vec<String>> {
        crds::read(&self.release.crds())
    }

    fn find_or_build(tools: &[Tool], status: &Status) -> Result<Self> {
        let testbed = testbed_dir();
        fs::create_dir_all(&testbed).with_context(|| format!("create {}", testbed.display()))?;
        let _lock = lock(status)?;
        let release = Module::chosen()?;
        let assets = if release == Module::Kubernetes { assets::find()? } else { None };
        let binaries = Self { assets, release, ocm: Module::chosen_ocm()? };
        let tools = [&Tool::CONTROL_PLANE, tools].concat();
        for module in Module::ALL {
            binaries.build(module, &tools, status)?;
        }
        let sources = Sources::read(release)?;
        if !crds::are_copied(&sources, &release.crds()) {
            crds::copy(&sources, &release.crds(), status)?;
        }
        Ok(binaries)
    }

    /// Builds the missing ones of `tools` that are of this module.
    fn build(&self, module: Module, tools: &[Tool], status: &Status) -> Result<()> {
        let is_ours = |tool: &Tool| tool.module(self.release, self.ocm) == module;
        let mut missing: Vec<Tool> = tools.iter().copied().filter(is_ours).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (sources, folder) = (Sources::read(module)?, module.programs());
        missing
            .retain(|tool| self.given(*tool).is_none() && !go::is_built(*tool, &sources, &folder));
        if missing.is_empty() {
            return Ok(());
        }
        go::build(&missing, &sources, &folder, status)
    }

    fn given(&self, tool: Tool) -> Option<PathBuf> {
        let path = self.assets.as_ref()?.join(tool.name());
        path.is_file().then_some(path)
    }
}

/// Returns a lock that lasts as long as the value: one process builds at a time.
fn lock(status: &Status) -> Result<File> {
    let lock = File::create(testbed_dir().join("lock"))?;
    if lock.try_lock().is_err() {
        status.set("waiting for another process that builds the test bed");
        lock.lock().context("wait for another build of the test bed")?;
    }
    Ok(lock)
}
