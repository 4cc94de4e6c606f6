//! The hub and the managed clusters that all chapters share.

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

/// In the order in which OCM takes them.
pub const ONE: &str = "one";
pub const TWO: &str = "two";

/// OCM's default is every ten seconds, up to 19; the same, faster. A cluster that its hub has forgotten is given an
/// hour, here some seconds.
pub const WORK_FLAGS: [&str; 2] =
    ["--status-sync-interval=3s", "--appliedmanifestwork-eviction-grace-period=8s"];

/// As the kubelet does for a pod.
const FILES_EVERY: Duration = Duration::from_secs(5);

/// A managed cluster and what OCM runs there.
pub struct Site {
    pub name: &'static str,
    // Before the cluster, so that its agents end first.
    pub klusterlet: Mutex<Klusterlet>,
    pub node: Option<Node>,
    pub managed: Managed,
}

impl Site {
    pub fn add_on(&self, name: &str) -> AddOn {
        self.managed.add_on(name)
    }
}

pub struct Bed {
    /// With a real node, on which the agent is a pod.
    pub one: Site,
    /// With a node played by kwok, beside which the agent is a process.
    pub two: Site,
    // After the clusters, whose agents speak to them.
    pub hub: OcmHub,
    /// Of bundles, over https, where pods on the real node can reach it.
    pub files: FileServer,
}

impl Bed {
    pub async fn start(progress: &Progress) -> Result<Self> {
        progress.heading("The agent's image, OCM's controllers on a hub, two managed clusters with its klusterlet");
        let machine = Machine::start().await?;
        let images = Images::build(progress).await?;
        let hub = OcmHub::start("hub", HOST.parse()?).await?;
        hub.place_everywhere().await?;
        progress.line("the hub's controllers run");
        let (one, two) = tokio::try_join!(real(&hub, machine, &images, progress), played(&hub),)?;
        progress.line("both clusters have joined");
        let files = FileServer::start_secure(HOST.parse()?).await?;
        Ok(Self { one, two, hub, files })
    }

    /// The agent on cluster two, with the identity that OCM has put into a Secret for it.
    pub async fn start_process(&self) -> Result<()> {
        let folder = identity(&self.two).await?;
        let kubeconfig = folder.join("kubeconfig");
        let kubeconfig = kubeconfig.to_string_lossy();
        let flags = ["--hub-kubeconfig", &kubeconfig, "--cluster-name", TWO];
        self.two.managed.start_agent(&flags).await
    }

    /// For whoever has to find out what went wrong.
    pub async fn dump(&self) -> String {
        let mut dump = format!("{}\n{}", self.hub.plane.dump().await, self.hub.log_end(40));
        for site in [&self.one, &self.two] {
            dump += &site.managed.plane.dump().await;
            dump += &site.klusterlet.lock().await.log_end(40);
            dump += &site.managed.agent_log_end(60);
            dump += &site.node.as_ref().map(|node| node.log_end(40)).unwrap_or_default();
        }
        dump + &delivery::agent_log(&self.one).await.unwrap_or_else(|error| format!("{error:#}"))
    }
}

async fn real(
    hub: &OcmHub,
    machine: Machine,
    images: &Images,
    progress: &Progress,
) -> Result<Site> {
    let address: Ipv4Addr = HOST.parse()?;
    let managed = Managed::start_bare(Options { nodes: 0, address, ..Options::full(ONE) }).await?;
    let node = Node::start(machine, &managed.plane).await?;
    for image in images.all() {
        node.import(image).await?;
    }
    progress.line("cluster one has a real node");
    let klusterlet = Klusterlet::join(&managed.plane, hub, ONE, &WORK_FLAGS).await?;
    Ok(Site { name: ONE, klusterlet: Mutex::new(klusterlet), node: Some(node), managed })
}

async fn played(hub: &OcmHub) -> Result<Site> {
    let managed = Managed::start_bare(Options::full(TWO)).await?;
    let klusterlet = Klusterlet::join(&managed.plane, hub, TWO, &WORK_FLAGS).await?;
    Ok(Site { name: TWO, klusterlet: Mutex::new(klusterlet), node: None, managed })
}

/// The agent's Secret as files, which name each other by relative paths and are kept as the Secret is.
async fn identity(site: &Site) -> Result<PathBuf> {
    let plane = &site.managed.plane;
    let secrets = secrets(site);
    let secret = until("the agent's identity on the hub", delivery::PATIENCE, || async {
        Ok(secrets.get_opt(delivery::SECRET).await?)
    })
    .await?;
    let folder = plane.write("identity", "")?.with_file_name("hub-identity");
    std::fs::create_dir_all(&folder)?;
    write(&folder, &secret)?;
    let kept = folder.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(FILES_EVERY).await;
            if let Ok(secret) = secrets.get(delivery::SECRET).await {
                write(&kept, &secret).ok();
            }
        }
    });
    Ok(folder)
}

pub fn secrets(site: &Site) -> Api<Secret> {
    Api::namespaced(site.managed.plane.admin(), delivery::NAMESPACE)
}

fn write(folder: &Path, secret: &Secret) -> Result<()> {
    for (name, content) in secret.data.as_ref().context("the Secret is empty")? {
        let new = folder.join(format!("{name}.new"));
        std::fs::write(&new, &content.0)?;
        std::fs::rename(new, folder.join(name))?;
    }
    Ok(())
}
