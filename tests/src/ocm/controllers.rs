//! Starts OCM's controllers and agents.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::ControlPlane;
use crate::ports::free_port;
use crate::process::Process;
use programs::{Binaries, Tool};

/// Starts `part`, the program's first argument, with the rights of a service account on `plane`.
pub fn start(
    binaries: &Binaries,
    plane: &ControlPlane,
    part: &str,
    (namespace, account): (&str, &str),
    more: &[String],
) -> Result<Process> {
    let kubeconfig = kubeconfig(plane, namespace, account)?;
    let mut args = vec![
        part.to_owned(),
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--namespace={namespace}"),
        format!("--listen=127.0.0.1:{}", free_port()?),
        "--disable-leader-election".into(),
    ];
    args.extend_from_slice(more);
    let folder = kubeconfig.parent().unwrap_or(Path::new("/tmp"));
    let log = folder.join(format!("{part}.log"));
    // It writes its own serving certificate among the temporary files.
    let temporary = folder.to_string_lossy();
    Process::spawn(&binaries.path(Tool::Ocm), args, &[("TMPDIR", &temporary)], &log)
}

/// Writes the kubeconfig of a service account and returns its path.
pub fn kubeconfig(plane: &ControlPlane, namespace: &str, account: &str) -> Result<PathBuf> {
    let user = format!("system:serviceaccount:{namespace}:{account}");
    let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}")];
    plane.kubeconfig(&user, &groups)
}
