//! The hub and the managed clusters that all parts share.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use testbed::file_server::FileServer;
use testbed::node::{HOST, Machine, Node};
use testbed::ocm::{Klusterlet, OcmHub};
use testbed::wait::until;
use testbed::{AddOn, Managed, Options};
use tokio::sync::Mutex;

use crate::delivery;
use crate::images::Images;
use testbed::Progress;

/// Names of the clusters, in the order in which OCM rolls out.
pub const ONE: &str = "one";
pub const TWO: &str = "two";

/// Flags that make the work agent faster. OCM's default is to sync every ten seconds, up to 19, and to evict after an hour
/// what the hub does not know any more.
pub const WORK_FLAGS: [&str; 2] =
    ["--status-sync-interval=3s", "--appliedmanifestwork-eviction-grace-period=8s"];

/// Time between two copies of the agent's Secret into files. The kubelet does the same for a pod.
const COPY_PERIOD: Duration = Duration::from_secs(5);

/// A managed cluster with the klusterlet that OCM runs there.
pub struct Cluster {
    pub name: &'static str,
    // Before the cluster, so that it is dropped first.
    pub klusterlet: Mutex<Klusterlet>,
    pub node: Option<Node>,
    pub managed: Managed,
}

impl Cluster {
    pub fn add_on(&self, name: &str) -> AddOn {
        self.managed.add_on(name)
    }
}

/// All that runs.
pub struct Bed {
    /// Has a real node, on which the agent runs as a pod.
    pub one: Cluster,
    /// Has a node simulated by kwok. The agent runs as a process next to it.
    pub two: Cluster,
    // After the clusters, so that it is dropped after their klusterlets.
    pub hub: OcmHub,
    /// Serves bundles over https, at an address that pods on the real node can reach.
    pub files: FileServer,
}

impl Bed {
    /// Starts all of it.
    pub async fn start(progress: &Progress) -> Result<Self> {
        progress.heading("Building the agent's image; starting a hub with OCM's controllers and two managed clusters with its klusterlet");
        let machine = Machine::start().await?;
        let images = Images::build(progress).await?;
        let hub = OcmHub::start("hub", HOST.parse()?).await?;
        hub.place_everywhere().await?;
        progress.line("the hub's controllers run");
        let (one, two) =
            tokio::try_join!(start_real(&hub, machine, &images, progress), start_simulated(&hub),)?;
        progress.line("both clusters have joined");
        let files = FileServer::start_secure(HOST.parse()?).await?;
        Ok(Self { one, two, hub, files })
    }

    /// Starts the agent on cluster two, with the hub identity that OCM has put into a Secret for it.
    pub async fn start_agent_process(&self) -> Result<()> {
        let folder = copy_identity(&self.two).await?;
        let kubeconfig = folder.join("kubeconfig");
        let kubeconfig = kubeconfig.to_string_lossy();
        let flags = ["--hub-kubeconfig", &kubeconfig, "--cluster-name", TWO];
        self.two.managed.start_agent(&flags).await
    }

    /// Returns the state of all clusters and the last lines of all logs, to find the cause of a failure.
    pub async fn dump(&self) -> String {
        let mut dump = format!("{}\n{}", self.hub.plane.dump().await, self.hub.log_end(40));
        for cluster in [&self.one, &self.two] {
            dump += &cluster.managed.plane.dump().await;
            dump += &cluster.klusterlet.lock().await.log_end(40);
            dump += &cluster.managed.agent_log_end(60);
            dump += &cluster.node.as_ref().map(|node| node.log_end(40)).unwrap_or_default();
        }
        dump + &delivery::agent_log(&self.one).await.unwrap_or_else(|error| format!("{error:#}"))
    }
}

async fn start_real(
    hub: &OcmHub,
    machine: Machine,
    images: &Images,
    progress: &Progress,
) -> Result<Cluster> {
    let address: Ipv4Addr = HOST.parse()?;
    let managed = Managed::start_bare(Options { nodes: 0, address, ..Options::full(ONE) }).await?;
    let node = Node::start(machine, &managed.plane).await?;
    for image in images.all() {
        node.import(image).await?;
    }
    progress.line("cluster one has a real node");
    let klusterlet = Klusterlet::join(&managed.plane, hub, ONE, &WORK_FLAGS).await?;
    Ok(Cluster { name: ONE, klusterlet: Mutex::new(klusterlet), node: Some(node), managed })
}

async fn start_simulated(hub: &OcmHub) -> Result<Cluster> {
    let managed = Managed::start_bare(Options::full(TWO)).await?;
    let klusterlet = Klusterlet::join(&managed.plane, hub, TWO, &WORK_FLAGS).await?;
    Ok(Cluster { name: TWO, klusterlet: Mutex::new(klusterlet), node: None, managed })
}

/// Copies the agent's Secret into files and keeps them up to date. The files name each other by relative paths.
async fn copy_identity(cluster: &Cluster) -> Result<PathBuf> {
    let plane = &cluster.managed.plane;
    let secrets = secrets(cluster);
    let secret = until("the agent's identity on the hub", delivery::TIMEOUT, || async {
        Ok(secrets.get_opt(delivery::SECRET).await?)
    })
    .await?;
    let folder = plane.write("identity", "")?.with_file_name("hub-identity");
    std::fs::create_dir_all(&folder)?;
    write_files(&folder, &secret)?;
    let copy = folder.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(COPY_PERIOD).await;
            if let Ok(secret) = secrets.get(delivery::SECRET).await {
                write_files(&copy, &secret).ok();
            }
        }
    });
    Ok(folder)
}

/// Returns the Secrets in the agent's namespace.
pub fn secrets(cluster: &Cluster) -> Api<Secret> {
    Api::namespaced(cluster.managed.plane.admin(), delivery::NAMESPACE)
}

fn write_files(folder: &Path, secret: &Secret) -> Result<()> {
    for (name, content) in secret.data.as_ref().context("the Secret is empty")? {
        let new = folder.join(format!("{name}.new"));
        std::fs::write(&new, &content.0)?;
        std::fs::rename(new, folder.join(name))?;
    }
    Ok(())
}
