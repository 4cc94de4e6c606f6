//! The command lines of the programs that make up one control plane, and the files they read.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::nodes::STAGES;
use crate::pki::{Authority, Identity};
use crate::ports::free_port;
use crate::process::Process;
use crate::run_folder::{RunFolder, copy_folder};
use programs::{Binaries, Tool};

const SERVICE_RANGE: &str = "10.96.0.0/16";
/// No packet goes there. Pods and nodes have addresses because controllers require them.
const POD_RANGE: &str = "10.244.0.0/16";
const NODE_IP: &str = "10.97.0.1";
const FIRST_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

const AUDIT_POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
";

/// A copy of etcd's data, in a folder beside it.
pub struct Backup(PathBuf);

/// The ports and files of one control plane. They stay the same for its life, so that a restarted API server finds its data.
pub struct Servers {
    binaries: Binaries,
    folder: RunFolder,
    etcd: String,
    etcd_peer: String,
    address: Ipv4Addr,
    api_port: u16,
    admits_service_accounts: bool,
}

impl Servers {
    /// Picks ports and writes the files. Pods need service accounts only where a controller-manager creates them.
    pub fn prepare(
        binaries: Binaries,
        authority: &Authority,
        admits_service_accounts: bool,
        address: Ipv4Addr,
    ) -> Result<Self> {
        let folder = RunFolder::create()?;
        write_identity(&folder, "ca", &authority.identity())?;
        write_identity(
            &folder,
            "server",
            &authority.server(&[Ipv4Addr::LOCALHOST, FIRST_SERVICE, address])?,
        )?;
        let kubelet_client = authority.client("kube-apiserver", &["system:masters"])?;
        write_identity(&folder, "kubelet-client", &kubelet_client)?;
        write_identity(&folder, "service-account", &authority.client("service-account", &[])?)?;
        folder.write("audit-policy.yaml", AUDIT_POLICY)?;
        folder.write("stages.yaml", STAGES)?;
        let [etcd, etcd_peer] =
            [free_port()?, free_port()?].map(|port| format!("http://127.0.0.1:{port}"));
        Ok(Self {
            binaries,
            folder,
            etcd,
            etcd_peer,
            address,
            api_port: free_port()?,
            admits_service_accounts,
        })
    }

    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    pub fn url(&self) -> String {
        format!("https://{}:{}", self.address, self.api_port)
    }

    pub fn audit_log(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    pub fn start_etcd(&self) -> Result<Process> {
        let args = [
            "--unsafe-no-fsync".into(),
            "--log-level=warn".into(),
            format!("--data-dir={}", self.file("etcd")),
            format!("--listen-client-urls={}", self.etcd),
            format!("--advertise-client-urls={}", self.etcd),
            format!("--listen-peer-urls={}", self.etcd_peer),
            format!("--initial-advertise-peer-urls={}", self.etcd_peer),
            format!("--initial-cluster=default={}", self.etcd_peer),
        ];
        self.start(Tool::Etcd, &args)
    }

    /// Copies the data of etcd, which must be stopped.
    pub fn copy_etcd(&self) -> Result<Backup> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("backup-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let backup = self.folder.path().join(name);
        copy_folder(&self.folder.path().join("etcd"), &backup)?;
        Ok(Backup(backup))
    }

    /// Replaces the data of etcd, which must be stopped.
    pub fn replace_etcd(&self, backup: &Backup) -> Result<()> {
        let data = self.folder.path().join("etcd");
        fs::remove_dir_all(&data).context("remove etcd's data")?;
        copy_folder(&backup.0, &data)
    }

    pub fn start_api(&self) -> Result<Process> {
        let mut args = vec![
            format!("--etcd-servers={}", self.etcd),
            format!("--bind-address={}", self.bind_address()),
            // Without it the API server looks for a default route, which a machine may not have.
            format!("--advertise-address={}", self.address),
            format!("--secure-port={}", self.api_port),
            format!("--tls-cert-file={}", self.file("server.crt")),
            format!("--tls-private-key-file={}", self.file("server.key")),
            format!("--client-ca-file={}", self.file("ca.crt")),
            format!("--service-account-key-file={}", self.file("service-account.crt")),
            format!("--service-account-signing-key-file={}", self.file("service-account.key")),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            format!("--service-cluster-ip-range={SERVICE_RANGE}"),
            "--authorization-mode=RBAC,Node".into(),
            "--allow-privileged=true".into(),
            // Without it a graceful end does not close watches, and waits a minute for them.
            "--shutdown-watch-termination-grace-period=2s".into(),
            format!("--audit-policy-file={}", self.file("audit-policy.yaml")),
            format!("--audit-log-path={}", self.audit_log().display()),
        ];
        if self.address.is_loopback() {
            // A loopback address cannot be an endpoint, and nothing here uses the service.
            args.push("--endpoint-reconciler-type=none".into());
        } else {
            // For the logs of a real node's pods.
            args.push(format!("--kubelet-client-certificate={}", self.file("kubelet-client.crt")));
            args.push(format!("--kubelet-client-key={}", self.file("kubelet-client.key")));
            args.push("--kubelet-preferred-address-types=InternalIP".into());
        }
        // Nodes are ready from the start: see start_controller_manager.
        let mut off = vec!["TaintNodesByCondition"];
        if !self.admits_service_accounts {
            off.push("ServiceAccount");
        }
        args.push(format!("--disable-admission-plugins={}", off.join(",")));
        self.start(Tool::ApiServer, &args)
    }

    pub fn start_controller_manager(&self, kubeconfig: &str) -> Result<Process> {
        let args = [
            format!("--kubeconfig={kubeconfig}"),
            "--leader-elect=false".into(),
            "--secure-port=0".into(),
            // After an outage of the API server it would mark every node as lost, and pods as unready forever.
            "--controllers=*,-node-lifecycle-controller".into(),
            format!("--root-ca-file={}", self.file("ca.crt")),
            format!("--service-account-private-key-file={}", self.file("service-account.key")),
            format!("--cluster-signing-cert-file={}", self.file("ca.crt")),
            format!("--cluster-signing-key-file={}", self.file("ca.key")),
        ];
        self.start(Tool::ControllerManager, &args)
    }

    pub fn start_scheduler(&self, kubeconfig: &str) -> Result<Process> {
        let args = [
            format!("--kubeconfig={kubeconfig}"),
            "--leader-elect=false".into(),
            "--secure-port=0".into(),
        ];
        self.start(Tool::Scheduler, &args)
    }

    pub fn start_kwok(&self, kubeconfig: &str) -> Result<Process> {
        let args = [
            format!("--kubeconfig={kubeconfig}"),
            format!("--config={}", self.file("stages.yaml")),
            "--manage-all-nodes".into(),
            format!("--node-ip={NODE_IP}"),
            format!("--cidr={POD_RANGE}"),
            // Nothing here reads node leases.
            "--node-lease-duration-seconds=0".into(),
        ];
        self.start(Tool::Kwok, &args)
    }

    fn start(&self, tool: Tool, args: &[String]) -> Result<Process> {
        let log = self.folder.path().join(format!("{}.log", tool.name()));
        Process::spawn(&self.binaries.path(tool), args, &[], &log)
    }

    fn bind_address(&self) -> Ipv4Addr {
        if self.address.is_loopback() { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED }
    }

    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }
}

fn write_identity(folder: &RunFolder, name: &str, identity: &Identity) -> Result<()> {
    folder.write(&format!("{name}.crt"), &identity.certificate)?;
    folder.write(&format!("{name}.key"), &identity.key)?;
    Ok(())
}
