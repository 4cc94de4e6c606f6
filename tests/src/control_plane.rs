//! One control plane: started, used, disturbed, and gone when dropped.

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

/// From nothing it takes 3 s; a machine that also compiles takes longer.
const START: Duration = Duration::from_secs(90);
/// An API server lets requests finish for up to 60 s; without any it ends within a second.
const STOP: Duration = Duration::from_secs(75);

/// Dropping it ends every process and removes the folder.
pub struct ControlPlane {
    name: String,
    api: Mutex<Arc<Process>>,
    etcd: Mutex<Arc<Process>>,
    controllers: Vec<Process>,
    authority: Authority,
    admin: Identity,
    admin_kubeconfig: PathBuf,
    kubeconfigs: AtomicU32,
    // The last field: the folder goes after the processes that write into it.
    servers: Servers,
}

impl ControlPlane {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn server_url(&self) -> String {
        self.servers.url()
    }

    /// May do everything. Made anew for each call, for the tokio runtime of the caller.
    pub fn admin(&self) -> Client {
        clients::client(&self.server_url(), &self.authority, &self.admin)
            .expect("the identity is ours")
    }

    /// See `kubeconfig`.
    pub fn client(&self, user: &str, groups: &[&str]) -> Result<Client> {
        clients::client(&self.server_url(), &self.authority, &self.authority.client(user, groups)?)
    }

    /// The file with which anyone is whom you say, by client certificate: `system:serviceaccount:shop:installer` too,
    /// with its groups `system:serviceaccounts` and `system:serviceaccounts:shop`. At most two groups.
    pub fn kubeconfig(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let content =
            self.authority.kubeconfig(&self.server_url(), &self.authority.client(user, groups)?);
        let number = self.kubeconfigs.fetch_add(1, Ordering::Relaxed);
        self.servers.folder().write(&format!("{number}.kubeconfig"), content)
    }

    /// The file with which anyone is whom the token in another file says, read again when it changes.
    pub fn kubeconfig_by_token(&self, token: &Path) -> Result<PathBuf> {
        let content = self.authority.kubeconfig_by_token(&self.server_url(), token);
        self.servers.folder().write("token.kubeconfig", content)
    }

    /// For a proxy that asks as this user.
    pub fn upstream(&self, user: &str, groups: &[&str]) -> Result<Upstream> {
        Upstream::api(&self.server_url(), &self.authority, &self.authority.client(user, groups)?)
    }

    /// A folder with `tls.crt` and `tls.key` for whoever listens behind a Service of this name.
    pub fn serving_certificate(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let Identity { certificate, key } = self.authority.service(namespace, name)?;
        let folder = self.folder(name)?;
        fs::write(folder.join("tls.crt"), certificate)?;
        fs::write(folder.join("tls.key"), key)?;
        Ok(folder)
    }

    /// A folder beside the files of the control plane, gone with it.
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

    /// A file beside those of the control plane, gone with it.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        self.servers.folder().write(name, content)
    }

    /// The certificate of the authority that everyone here is vouched for by.
    pub fn authority_file(&self) -> String {
        self.servers.file("ca.crt")
    }

    /// The administrator's kubeconfig.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.admin_kubeconfig.clone()
    }

    /// What kubectl printed; where it failed, the error holds what it complained of.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(self.kubectl_program().await?);
        command.arg("--kubeconfig").arg(&self.admin_kubeconfig).args(args);
        command.arg("--cache-dir").arg(self.servers.folder().path().join("kubectl-cache"));
        output(command, &format!("kubectl {}", args.join(" "))).await
    }

    /// Server-side apply of every document, in order, as administrator. A CRD is established before the next document.
    pub async fn apply_yaml(&self, yaml: &str) -> Result<()> {
        apply::apply(&self.admin(), yaml).await
    }

    /// ManagedCluster, ManagedClusterAddOn, ClusterManagementAddOn, AddOnTemplate, AddOnDeploymentConfig, ManifestWork.
    pub async fn install_ocm_crds(&self) -> Result<()> {
        self.apply_yaml(&self.servers.binaries().ocm_crds()?.join("\n---\n")).await
    }

    /// Every answered request so far, as audit events without bodies. A line still being written is left out.
    pub fn audit(&self) -> Result<Vec<Value>> {
        self.audit_naming("")
    }

    /// Those of [`ControlPlane::audit`] in which these words are: reading all of a long log takes its time.
    pub fn audit_naming(&self, words: &str) -> Result<Vec<Value>> {
        let log = fs::read_to_string(self.servers.audit_log()).context("read the audit log")?;
        let lines = log.lines().filter(|line| line.contains(words));
        Ok(lines.filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Gracefully: requests finish, watches are closed. Port and data stay.
    pub async fn stop_api(&self) -> Result<()> {
        let api = self.api();
        api.terminate()?;
        api.wait(STOP).await?;
        Ok(())
    }

    /// In one blow.
    pub fn kill_api(&self) -> Result<()> {
        self.api().kill()
    }

    /// After `stop_api` or `kill_api`; returns when it is ready.
    pub async fn start_api(&self) -> Result<()> {
        let api = Arc::new(self.servers.start_api()?);
        *self.api.lock().unwrap_or_else(PoisonError::into_inner) = api;
        self.ready().await
    }

    /// It keeps its connections, accepts new ones, and answers nothing.
    pub fn freeze_api(&self) -> Result<()> {
        self.api().freeze()
    }

    pub fn thaw_api(&self) -> Result<()> {
        self.api().thaw()
    }

    pub fn api_has_ended(&self) -> Result<bool> {
        Ok(self.api().exited()?.is_some())
    }

    /// What etcd holds at this moment. It is away for as long as that takes.
    pub async fn back_up(&self) -> Result<Backup> {
        self.etcd().kill()?;
        let backup = self.servers.copy_etcd()?;
        self.start_etcd()?;
        self.ready().await?;
        Ok(backup)
    }

    /// Everything is as it was then, and the API server knows of nothing else. The controllers are not told.
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

    /// Of every process of this control plane.
    pub(crate) fn last_log_lines(&self, count: usize) -> String {
        let (etcd, api) = (self.etcd(), self.api());
        let processes = [&*etcd, &*api].into_iter().chain(&self.controllers);
        processes.map(|process| process.last_lines(count)).collect()
    }

    async fn ready(&self) -> Result<()> {
        let client = self.admin();
        let what = format!("the API server of {} to be ready", self.name);
        wait::until(&what, START, || async {
            if self.etcd().exited()?.is_some() || self.api().exited()?.is_some() {
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
