//! A real node, on which containers run: containerd, kubelet and kube-proxy.

mod files;
mod images;
mod machine;

pub use files::PAUSE;
pub use images::{Image, build_image};
pub use machine::{HOST, Machine};

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::Api;
use tokio::task::spawn_blocking;

use crate::ControlPlane;
use crate::process::Process;
use crate::wait::until;
use programs::{Binaries, Tool};

pub const NAME: &str = "real";

/// A node is ready within 15 s. A loaded machine gets more.
const READY: Duration = Duration::from_secs(120);

/// A running node. Dropping it ends its programs in this order.
pub struct Node {
    kube_proxy: Process,
    kubelet: Process,
    containerd: Process,
    machine: Machine,
}

impl Node {
    /// Joins `plane`, whose API server must listen on the machine's side of the cable. The first call on a machine
    /// builds kubelet and kube-proxy.
    pub async fn start(machine: Machine, plane: &ControlPlane) -> Result<Self> {
        let tools = [Tool::Kubelet, Tool::KubeProxy];
        let binaries = spawn_blocking(move || Binaries::ensure_also(&tools)).await??;
        let files = files::write(&machine, plane)?;
        let containerd = machine.spawn(Path::new("containerd"), ["--config", &files.containerd])?;
        wait_for_containerd(&machine).await.with_context(|| containerd.last_lines(20))?;
        let kubelet = machine.spawn(&binaries.path(Tool::Kubelet), files.kubelet_args())?;
        let kube_proxy = machine.spawn(&binaries.path(Tool::KubeProxy), files.kube_proxy_args())?;
        let node = Self { kube_proxy, kubelet, containerd, machine };
        node.wait_until_ready(plane).await.with_context(|| node.log_end(30))?;
        Ok(node)
    }

    /// Imports an image, so that pods can use it.
    pub async fn import(&self, image: &Image) -> Result<()> {
        let archive = image.archive.to_string_lossy();
        let args = ["--address", files::SOCKET, "--namespace", "k8s.io", "images", "import"];
        self.machine
            .run("ctr", &[&args[..], &["--snapshotter", "native", &archive]].concat())
            .await?;
        Ok(())
    }

    /// Returns the last lines of the log of each program.
    pub fn log_end(&self, lines: usize) -> String {
        let all = [&self.containerd, &self.kubelet, &self.kube_proxy];
        all.into_iter().map(|process| process.last_lines(lines)).collect()
    }

    async fn wait_until_ready(&self, plane: &ControlPlane) -> Result<()> {
        let nodes: Api<NodeObject> = Api::all(plane.admin());
        until("the real node to be ready", READY, || async {
            let node = nodes.get_opt(NAME).await?.context("the kubelet has not registered it")?;
            let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
            match conditions.iter().find(|condition| condition.type_ == "Ready") {
                Some(ready) if ready.status == "True" => Ok(Some(())),
                other => bail!("{other:?}"),
            }
        })
        .await
    }
}

async fn wait_for_containerd(machine: &Machine) -> Result<()> {
    until("containerd to answer", READY, || async {
        machine.run("ctr", &["--address", files::SOCKET, "version"]).await?;
        Ok(Some(()))
    })
    .await
}
