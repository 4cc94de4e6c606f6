//! Helm as its users have it, on one control plane.

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
    /// Instead of those of whoever runs the test.
    folders: PathBuf,
}

impl Helm {
    /// As administrator. The first call on a machine builds it.
    pub async fn of(plane: &ControlPlane) -> Result<Self> {
        let binaries = spawn_blocking(|| Binaries::ensure_also(&[Tool::Helm])).await??;
        let kubeconfig = plane.kubeconfig("helm", &["system:masters"])?;
        let folders = kubeconfig.with_file_name("helm");
        Ok(Self { program: binaries.path(Tool::Helm), kubeconfig, folders })
    }

    /// Returns what it says.
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

    /// A folder that is a chart with one template.
    pub fn chart(&self, name: &str, version: &str, template: &str) -> Result<PathBuf> {
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
