//! One control plane, which can be used, disturbed, backed up and restored.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use kube::Client;
use serde_json::Value;
use tokio::task::spawn_blocking;

mod start;
pub use start::Options;

use crate::fault_proxy::Upstream;
use crate::pki::{Authority, Identity};
use crate::process::{Process, output};
pub use crate::servers::Backup;
use crate::servers::Servers;
use crate::{apply, clients, wait};
use programs::{Binaries, Tool};

/// A control plane starts within 3 s. A machine that also compiles takes longer.
const START: Duration = Duration::from_secs(90);
/// An API server lets requests finish for up to 60 s. Without any it ends within a second.
const STOP: Duration = Duration::from_secs(75);

/// A running control plane. Dropping it ends every process and removes the folder.
pub struct ControlPlane {
    name: String,
    api: Mutex<Arc<Process>>,
    etcd: Mutex<Arc<Process>>,
    controllers: Vec<Process>,
    authority: Authority,
    admin: Identity,
    admin_kubeconfig: PathBuf,
    kubeconfigs: AtomicU32,
    // The last field: the folder is removed after the processes that write into it have ended.
    servers: Servers,
}

impl ControlPlane {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn server_url(&self) -> String {
        self.servers.url()
    }

    /// Returns a new client that may do everything. It belongs to the tokio runtime of the caller.
    pub fn admin(&self) -> Client {
        clients::client(&self.server_url(), &self.authority, &self.admin)
            .expect("the identity is ours")
    }

    /// Returns a client of a user, as [`Self::kubeconfig`] describes them.
    pub fn client(&self, user: &str, groups: &[&str]) -> Result<Client> {
        clients::client(&self.server_url(), &self.authority, &self.authority.client(user, groups)?)
    }

    /// Writes a kubeconfig of any user, by client certificate, and returns its path. The user may be a service account:
    /// `system:serviceaccount:shop:installer` with the groups `system:serviceaccounts` and `system:serviceaccounts:shop`.
    /// A user has at most two groups.
    pub fn kubeconfig(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let content =
            self.authority.kubeconfig(&self.server_url(), &self.authority.client(user, groups)?);
        let number = self.kubeconfigs.fetch_add(1, Ordering::Relaxed);
        self.servers.folder().write(&format!("{number}.kubeconfig"), content)
    }

    /// Writes a kubeconfig of the user whose token is in another file, which is read again when it changes.
    pub fn kubeconfig_with_token(&self, token: &Path) -> Result<PathBuf> {
        let content = self.authority.kubeconfig_with_token(&self.server_url(), token);
        self.servers.folder().write("token.kubeconfig", content)
    }

    /// Returns the API server for a proxy, which sends every request as this user.
    pub fn upstream(&self, user: &str, groups: &[&str]) -> Result<Upstream> {
        Upstream::api(&self.server_url(), &self.authority, &self.authority.client(user, groups)?)
    }

    /// Writes `tls.crt` and `tls.key` for a server behind a Service of this name, and returns their folder.
    pub fn serving_certificate(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let Identity { certificate, key } = self.authority.service(namespace, name)?;
        let folder = self.folder(name)?;
        fs::write(folder.join("tls.crt"), certificate)?;
        fs::write(folder.join("tls.key"), key)?;
        Ok(folder)
    }

    /// Makes a folder beside the files of the control plane, which is removed with them.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.servers.folder().path().join(name);
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(folder)
    }

    /// Returns the path of kubectl, which is built on the first call on a machine.
    pub async fn kubectl_program(&self) -> Result<PathBuf> {
        let build = || Binaries::ensure_also(&[Tool::Kubectl]);
        Ok(spawn_blocking(build).await??.path(Tool::Kubectl))
    }

    /// Writes a file beside those of the control plane, which is removed with them.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        self.servers.folder().write(name, content)
    }

    /// Returns the path of the certificate of the authority that issues every certificate here.
    pub fn ca_file(&self) -> String {
        self.servers.file("ca.crt")
    }

    /// Returns the path of the administrator's kubeconfig.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.admin_kubeconfig.clone()
    }

    /// Runs kubectl and returns its output. An error has the message of kubectl.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(self.kubectl_program().await?);
        command.arg("--kubeconfig").arg(&self.admin_kubeconfig).args(args);
        command.arg("--cache-dir").arg(self.servers.folder().path().join("kubectl-cache"));
        output(command, &format!("kubectl {}", args.join(" "))).await
    }

    /// Applies every document in order, server-side, as administrator. Waits for each CRD to be established.
    pub async fn apply_yaml(&self, yaml: &str) -> Result<()> {
        apply::apply(&self.admin(), yaml).await
    }

    /// Installs the CRDs of ManagedCluster, ManagedClusterAddOn, ClusterManagementAddOn, AddOnTemplate, AddOnDeploymentConfig and
    /// ManifestWork.
    pub async fn install_ocm_crds(&self) -> Result<()> {
        self.apply_yaml(&self.servers.binaries().ocm_crds()?.join("\n---\n")).await
    }

    /// Returns every answered request so far, as audit events without bodies. A line that is being written is left out.
    pub fn audit(&self) -> Result<Vec<Value>> {
        self.audit_containing("")
    }

    /// Returns the events of [`ControlPlane::audit`] that contain `text`. Parsing all of a long log is slow.
    pub fn audit_containing(&self, text: &str) -> Result<Vec<Value>> {
        let log = fs::read_to_string(self.servers.audit_log()).context("read the audit log")?;
        let lines = log.lines().filter(|line| line.contains(text));
        Ok(lines.filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Stops the API server gracefully: requests finish and watches are closed. Its port and data are kept.
    pub async fn stop_api(&self) -> Result<()> {
        let api = self.api();
        api.terminate()?;
        api.wait(STOP).await?;
        Ok(())
    }

    /// Kills the API server.
    pub fn kill_api(&self) -> Result<()> {
        self.api().kill()
    }

    /// Starts the API server after `stop_api` or `kill_api`, and waits until it is ready.
    pub async fn start_api(&self) -> Result<()> {
        let api = Arc::new(self.servers.start_api()?);
        *self.api.lock().unwrap_or_else(PoisonError::into_inner) = api;
        self.wait_until_ready().await
    }

    /// Freezes the API server: it keeps its connections, accepts new ones, and answers nothing.
    pub fn freeze_api(&self) -> Result<()> {
        self.api().freeze()
    }

    pub fn thaw_api(&self) -> Result<()> {
        self.api().thaw()
    }

    pub fn api_has_ended(&self) -> Result<bool> {
        Ok(self.api().exit_status()?.is_some())
    }

    /// Returns a copy of etcd's data. etcd is down meanwhile.
    pub async fn back_up(&self) -> Result<Backup> {
        self.etcd().kill()?;
        let backup = self.servers.copy_etcd()?;
        self.start_etcd()?;
        self.wait_until_ready().await?;
        Ok(backup)
    }

    /// Restores etcd's data and restarts the API server, which then knows nothing newer. The controllers are not restarted.
    pub async fn restore(&self, backup: &Backup) -> Result<()> {
        self.kill_api()?;
        self.etcd().kill()?;
        self.servers.replace_etcd(backup)?;
        self.start_etcd()?;
        self.start_api().await
    }

    fn start_etcd(&self) -> Result<()> {
        let etcd = Arc::new(self.servers.start_etcd()?);
        *self.etcd.lock().unwrap_or_else(PoisonError::into_inner) = etcd;
        Ok(())
    }

    fn etcd(&self) -> Arc<Process> {
        self.etcd.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the last lines of the log of every process.
    pub(crate) fn last_log_lines(&self, count: usize) -> String {
        let (etcd, api) = (self.etcd(), self.api());
        let processes = [&*etcd, &*api].into_iter().chain(&self.controllers);
        processes.map(|process| process.last_lines(count)).collect()
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let client = self.admin();
        let what = format!("the API server of {} to be ready", self.name);
        wait::until(&what, START, || async {
            if self.etcd().exit_status()?.is_some() || self.api().exit_status()?.is_some() {
                return Ok(Some(Err(anyhow!("a process ended\n{}", self.last_log_lines(20)))));
            }
            client.request_text(http::Request::get("/readyz").body(Vec::new())?).await?;
            Ok(Some(Ok(())))
        })
        .await?
    }

    fn api(&self) -> Arc<Process> {
        self.api.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
