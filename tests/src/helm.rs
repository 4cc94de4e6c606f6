//! The Helm that users have, on one control plane.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tokio::task::spawn_blocking;

use crate::ControlPlane;
use crate::process::output;
use programs::{Binaries, Tool};

pub struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
    /// Replace those of the user who runs the test.
    folders: PathBuf,
}

impl Helm {
    /// Returns Helm as administrator of `plane`. The first call on a machine builds it.
    pub async fn build(plane: &ControlPlane) -> Result<Self> {
        let binaries = spawn_blocking(|| Binaries::ensure_also(&[Tool::Helm])).await??;
        let kubeconfig = plane.kubeconfig("helm", &["system:masters"])?;
        let folders = kubeconfig.with_file_name("helm");
        Ok(Self { program: binaries.path(Tool::Helm), kubeconfig, folders })
    }

    /// Runs Helm and returns its output.
    pub async fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(args);
        for (variable, folder) in [
            ("HELM_CACHE_HOME", "cache"),
            ("HELM_CONFIG_HOME", "config"),
            ("HELM_DATA_HOME", "data"),
        ] {
            command.env(variable, self.folders.join(folder));
        }
        output(command, &format!("helm {}", args.join(" "))).await
    }

    /// Writes a chart with one template and returns its folder.
    pub fn write_chart(&self, name: &str, version: &str, template: &str) -> Result<PathBuf> {
        let folder = self.folders.join("charts").join(name);
        let templates = folder.join("templates");
        std::fs::create_dir_all(&templates)?;
        let about = format!("{{apiVersion: v2, name: {name}, version: {version}}}\n");
        write(&folder, "Chart.yaml", &about)?;
        write(&templates, "all.yaml", template)?;
        Ok(folder)
    }
}

fn write(folder: &Path, name: &str, content: &str) -> Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, content).with_context(|| format!("write {}", path.display()))
}
