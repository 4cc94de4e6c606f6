//! The klusterlet of one managed cluster: OCM's registration agent and work agent.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{AGENT_NAMESPACE, JOIN, OcmHub, binaries, controllers, manifests};
use crate::ControlPlane;
use crate::process::Process;
use crate::wait::until;
use programs::Binaries;

/// The objects that the klusterlet operator creates in code: the namespaces, and the role into which others are aggregated.
const OPERATOR: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: open-cluster-management-agent}
---
apiVersion: v1
kind: Namespace
metadata: {name: open-cluster-management-agent-addon}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: 'open-cluster-management:klusterlet-work:aggregate'}
aggregationRule:
  clusterRoleSelectors: [{matchLabels: {open-cluster-management.io/aggregate-to-work: 'true'}}]
rules: []
";

/// The Secret with the identity on the hub.
const SECRET: &str = "hub-kubeconfig-secret";

pub struct Klusterlet {
    binaries: Binaries,
    cluster: String,
    /// The folder into which the registration agent writes the identity that the hub gave it.
    identity: PathBuf,
    bootstrap: PathBuf,
    work_flags: Vec<String>,
    agents: Vec<Process>,
}

impl Klusterlet {
    /// Joins `plane` to `hub` under the name `cluster`. The work agent gets `work_flags`.
    pub async fn join(
        plane: &ControlPlane,
        hub: &OcmHub,
        cluster: &str,
        work_flags: &[&str],
    ) -> Result<Self> {
        let binaries = binaries().await?;
        plane.apply_yaml(OPERATOR).await?;
        plane.apply_yaml(&manifests(&binaries, &["managed"]).await?).await?;
        let mut klusterlet = Self {
            binaries,
            cluster: cluster.to_owned(),
            identity: plane.write("klusterlet", "")?.with_file_name("hub-kubeconfig"),
            bootstrap: hub.bootstrap_kubeconfig()?,
            work_flags: work_flags.iter().map(|flag| (*flag).to_owned()).collect(),
            agents: Vec::new(),
        };
        klusterlet.start_registration(plane)?;
        let joined = async {
            hub.accept(cluster).await?;
            klusterlet.wait_for_identity().await
        };
        joined.await.with_context(|| klusterlet.log_end(20))?;
        klusterlet.start_work(plane)?;
        Ok(klusterlet)
    }

    /// Kills both agents: the cluster is offline for OCM.
    pub fn kill(&mut self) {
        self.agents.clear();
    }

    /// Starts both agents, after `kill`.
    pub fn start(&mut self, plane: &ControlPlane) -> Result<()> {
        self.start_registration(plane)?;
        self.start_work(plane)
    }

    /// Kills both agents and deletes the identity on the hub, as OCM's command line tool does on a cluster that has left.
    pub async fn leave(&mut self, plane: &ControlPlane) -> Result<()> {
        self.kill();
        plane.kubectl(&["delete", "secret", SECRET, "-n", AGENT_NAMESPACE]).await?;
        std::fs::remove_dir_all(&self.identity).context("remove the klusterlet's identity")
    }

    /// Returns the last lines of both agents' logs.
    pub fn log_end(&self, lines: usize) -> String {
        self.agents.iter().map(|process| process.last_lines(lines)).collect()
    }

    fn start_registration(&mut self, plane: &ControlPlane) -> Result<()> {
        let flags = [
            format!("--spoke-cluster-name={}", self.cluster),
            format!("--bootstrap-kubeconfig={}", self.bootstrap.display()),
            format!("--hub-kubeconfig-secret={SECRET}"),
            format!("--hub-kubeconfig-dir={}", self.identity.display()),
        ];
        self.start_agent(plane, "spoke-registration", "klusterlet-registration-sa", &flags)
    }

    fn start_work(&mut self, plane: &ControlPlane) -> Result<()> {
        let kubeconfig = self.kubeconfig();
        let mut flags = vec![
            format!("--spoke-cluster-name={}", self.cluster),
            format!("--workload-source-config={}", kubeconfig.display()),
            format!("--hub-kubeconfig={}", kubeconfig.display()),
        ];
        flags.extend_from_slice(&self.work_flags);
        self.start_agent(plane, "spoke-work", "klusterlet-work-sa", &flags)
    }

    fn start_agent(
        &mut self,
        plane: &ControlPlane,
        part: &str,
        account: &str,
        flags: &[String],
    ) -> Result<()> {
        let account = (AGENT_NAMESPACE, account);
        self.agents.push(controllers::start(&self.binaries, plane, part, account, flags)?);
        Ok(())
    }

    async fn wait_for_identity(&self) -> Result<()> {
        let kubeconfig = self.kubeconfig();
        until("the klusterlet to have its identity", JOIN, || async {
            Ok(kubeconfig.is_file().then_some(()))
        })
        .await
    }

    fn kubeconfig(&self) -> PathBuf {
        self.identity.join("kubeconfig")
    }
}
