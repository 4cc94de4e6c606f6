//! The hub and the managed clusters that all chapters share.

use anyhow::Result;
use testbed::ocm::{Klusterlet, OcmHub};
use testbed::{AddOn, Managed};

use crate::telling::Telling;

/// In the order in which OCM takes them.
pub const ONE: &str = "one";
pub const TWO: &str = "two";

/// OCM's default is every ten seconds, up to 19; the same, faster.
const WORK_FLAGS: [&str; 1] = ["--status-sync-interval=3s"];

/// What the work agent may do, so that it can assign.
const AGGREGATED: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: managedaddons-work
  labels: {open-cluster-management.io/aggregate-to-work: 'true'}
rules:
- apiGroups: [lifecycle.open-cluster-management.io]
  resources: [managedaddons]
  verbs: [get, list, watch, create, update, patch, delete]
";

pub struct Site {
    pub name: &'static str,
    // Before the cluster, so that its agents end first.
    klusterlet: Klusterlet,
    pub managed: Managed,
}

impl Site {
    pub fn add_on(&self, name: &str) -> AddOn {
        self.managed.add_on(name)
    }
}

pub struct Bed {
    pub one: Site,
    pub two: Site,
    // After the clusters, whose agents speak to it.
    pub hub: OcmHub,
}

impl Bed {
    pub async fn start(telling: &Telling) -> Result<Self> {
        telling
            .chapter("A hub with OCM's controllers, and two managed clusters with its klusterlet");
        telling.line("building what is missing of OCM, Kubernetes and the agent");
        testbed::agent_binary()?;
        let hub = OcmHub::start("hub").await?;
        hub.place_everywhere().await?;
        telling.line("the hub's controllers run");
        let (one, two) = tokio::try_join!(site(&hub, ONE), site(&hub, TWO))?;
        telling.line("both clusters have joined, and the agent runs on each");
        Ok(Self { one, two, hub })
    }

    /// For whoever has to find out what went wrong.
    pub async fn dump(&self) -> String {
        let mut dump = format!("{}\n{}", self.hub.plane.dump().await, self.hub.log_end(40));
        for site in [&self.one, &self.two] {
            dump += &site.managed.plane.dump().await;
            dump += &site.klusterlet.log_end(40);
            dump += &site.managed.agent_log_end(60);
        }
        dump
    }
}

async fn site(hub: &OcmHub, name: &'static str) -> Result<Site> {
    let managed = Managed::start(name).await?;
    managed.plane.apply_yaml(AGGREGATED).await?;
    let klusterlet = Klusterlet::join(&managed.plane, hub, name, &WORK_FLAGS).await?;
    let kubeconfig = hub.admit_agent(name).await?;
    let kubeconfig = kubeconfig.to_string_lossy();
    managed.start_agent(&["--hub-kubeconfig", &kubeconfig, "--cluster-name", name]).await?;
    Ok(Site { name, klusterlet, managed })
}
