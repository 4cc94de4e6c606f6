//! The files that the programs of a node read, and their command lines.

use anyhow::Result;
use serde_json::json;

use super::NAME;
use super::machine::{ADDRESS, Machine};
use crate::ControlPlane;

/// In the machine's own /run.
pub const SOCKET: &str = "/run/containerd/containerd.sock";

const PODS: &str = "10.244.0.0/16";

/// The image that holds a pod's namespaces, built and imported like any other.
pub const PAUSE: &str = "registry.k8s.io/pause:3.10";

/// The paths of the files.
pub struct Files {
    pub containerd: String,
    kubelet: String,
    kubelet_root: String,
    kubeconfig: String,
    proxy_kubeconfig: String,
}

/// Writes the files into the machine's folder.
pub fn write(machine: &Machine, plane: &ControlPlane) -> Result<Files> {
    let folder = machine.folder.path().to_string_lossy().into_owned();
    let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    std::fs::create_dir_all(machine.folder.path().join("cni"))?;
    machine.folder.write("cni/10-bridge.conflist", network())?;
    let kubeconfig = plane.kubeconfig(&format!("system:node:{NAME}"), &["system:nodes"])?;
    let proxy_kubeconfig = plane.kubeconfig("system:kube-proxy", &[])?;
    Ok(Files {
        containerd: text(machine.folder.write("containerd.toml", containerd(&folder))?),
        kubelet: text(machine.folder.write("kubelet.json", kubelet(plane))?),
        kubelet_root: format!("{folder}/kubelet"),
        kubeconfig: text(kubeconfig),
        proxy_kubeconfig: text(proxy_kubeconfig),
    })
}

impl Files {
    pub fn kubelet_args(&self) -> [String; 6] {
        [
            format!("--config={}", self.kubelet),
            format!("--kubeconfig={}", self.kubeconfig),
            format!("--root-dir={}", self.kubelet_root),
            format!("--cert-dir={}/pki", self.kubelet_root),
            format!("--hostname-override={NAME}"),
            format!("--node-ip={ADDRESS}"),
        ]
    }

    pub fn kube_proxy_args(&self) -> [String; 5] {
        [
            format!("--kubeconfig={}", self.proxy_kubeconfig),
            "--proxy-mode=iptables".into(),
            format!("--cluster-cidr={PODS}"),
            format!("--hostname-override={NAME}"),
            // The host limits the number of connections.
            "--conntrack-max-per-core=0".into(),
        ]
    }
}

/// Returns containerd's configuration. It copies images instead of overlaying them: a host that is a container itself may
/// not overlay, and the images are small.
fn containerd(folder: &str) -> String {
    format!(
        r#"version = 2
root = "{folder}/containerd"
state = "/run/containerd/state"
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
# Where CAP_SYS_RESOURCE is missing, no sandbox could start without it.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{folder}/cni"
"#
    )
}

fn network() -> String {
    json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.244.0.0/24"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": "/run/containerd/networks",
            },
        }],
    })
    .to_string()
}

fn kubelet(plane: &ControlPlane) -> String {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": false},
            "x509": {"clientCAFile": plane.ca_file()},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        "enforceNodeAllocatable": [],
        "makeIPTablesUtilChains": false,
        "localStorageCapacityIsolation": false,
        "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
        // A mounted Secret follows its object within this time and a little.
        "syncFrequency": "5s",
        "fileCheckFrequency": "5s",
        // Disks of a test host may be nearly full.
        "evictionHard": {"memory.available": "50Mi"},
        "imageGCHighThresholdPercent": 100,
        "resolvConf": "",
    })
    .to_string()
}
