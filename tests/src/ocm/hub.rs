//! A hub with OCM's registration, placement and add-on controllers.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::{HUB_NAMESPACE, JOIN, LEAVE, binaries, controllers, conversion, manifests};
use crate::process::Process;
use crate::wait::until;
use crate::{ControlPlane, Options};
use programs::Binaries;

const ADD_ON_GROUP: &str = "addon.open-cluster-management.io";
const CLUSTER_GROUP: &str = "cluster.open-cluster-management.io";

const BOOTSTRAP_USER: &str = "bootstrap";

/// The rights of a klusterlet before it has its own identity, as OCM's command line tool grants them.
const BOOTSTRAP: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: open-cluster-management-hub}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bootstrap}
rules:
- {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests], verbs: [create, get, list, watch]}
- {apiGroups: [cluster.open-cluster-management.io], resources: [managedclusters], verbs: [get, create, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bootstrap}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: bootstrap}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: bootstrap}]
";

/// Without the tolerations a cluster that is offline for a while would lose its add-ons.
const EVERYWHERE: &str = "
apiVersion: cluster.open-cluster-management.io/v1beta2
kind: ManagedClusterSetBinding
metadata: {name: global, namespace: default}
spec: {clusterSet: global}
---
apiVersion: cluster.open-cluster-management.io/v1beta1
kind: Placement
metadata: {name: everywhere, namespace: default}
spec:
  clusterSets: [global]
  tolerations:
  - {key: cluster.open-cluster-management.io/unreachable, operator: Exists}
  - {key: cluster.open-cluster-management.io/unavailable, operator: Exists}
";

/// Each controller with its service account.
const CONTROLLERS: [(&str, &str); 3] = [
    ("hub-registration", "registration-controller-sa"),
    ("hub-placement", "placement-controller-sa"),
    ("hub-addon", "addon-manager-controller-sa"),
];

pub struct OcmHub {
    binaries: Binaries,
    // Before the plane, so that they end first.
    controllers: Mutex<Vec<Process>>,
    conversion: Option<Process>,
    pub plane: ControlPlane,
}

/// The template that a cluster's `ManagedClusterAddOn` should have, and the one that OCM counts as applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateReference {
    pub desired: Option<String>,
    pub applied: Option<String>,
}

impl OcmHub {
    /// Starts a hub. Returns when the controllers have created their first objects.
    pub async fn start(name: &str, address: Ipv4Addr) -> Result<Self> {
        let binaries = binaries().await?;
        let options = Options { controller_manager: true, address, ..Options::api_only(name) };
        let plane = ControlPlane::start(options).await?;
        plane.apply_yaml(BOOTSTRAP).await?;
        let words = ["hub", "--webhook-authority", &plane.ca_file()];
        let manifests = manifests(&binaries, &words).await?;
        plane.apply_yaml(&manifests).await?;
        let conversion = conversion::start(&binaries, &plane, &manifests).await?;
        let hub = Self { binaries, controllers: Mutex::default(), conversion, plane };
        hub.start_controllers()?;
        hub.wait_for_default_set().await.with_context(|| hub.log_end(20))?;
        Ok(hub)
    }

    /// Kills the controllers: they miss what happens on the hub now.
    pub fn kill_controllers(&self) {
        self.controllers().clear();
    }

    /// Starts the controllers, after `kill_controllers`.
    pub fn start_controllers(&self) -> Result<()> {
        let start = |(part, account)| {
            controllers::start(&self.binaries, &self.plane, part, (HUB_NAMESPACE, account), &[])
        };
        let started = CONTROLLERS.into_iter().map(start).collect::<Result<Vec<_>>>()?;
        self.controllers().extend(started);
        Ok(())
    }

    /// Writes the kubeconfig with which a klusterlet asks to join, and returns its path.
    pub fn bootstrap_kubeconfig(&self) -> Result<PathBuf> {
        self.plane.kubeconfig(BOOTSTRAP_USER, &[])
    }

    /// Accepts a cluster that has asked to join, and waits until it is available.
    pub async fn accept(&self, cluster: &str) -> Result<()> {
        let clusters = self.api(CLUSTER_GROUP, "v1", "ManagedCluster", None);
        until(&format!("{cluster} to ask to join"), JOIN, || async {
            Ok(clusters.get_opt(cluster).await?)
        })
        .await?;
        self.approve(cluster).await?;
        let accepted = Patch::Merge(json!({"spec": {"hubAcceptsClient": true}}));
        clusters.patch(cluster, &PatchParams::default(), &accepted).await?;
        until(&format!("{cluster} to be available"), JOIN, || async {
            let cluster = clusters.get(cluster).await?;
            match condition(&cluster, "ManagedClusterConditionAvailable") {
                Some(available) if available["status"] == "True" => Ok(Some(())),
                other => bail!("{other:?}"),
            }
        })
        .await
    }

    /// Deletes a ManagedCluster.
    pub async fn detach(&self, cluster: &str) -> Result<()> {
        let clusters = self.api(CLUSTER_GROUP, "v1", "ManagedCluster", None);
        clusters.delete(cluster, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until OCM and the klusterlet have finished what `detach` started.
    pub async fn until_detached(&self, cluster: &str) -> Result<()> {
        let clusters = self.api(CLUSTER_GROUP, "v1", "ManagedCluster", None);
        until(&format!("{cluster} to have left the hub"), LEAVE, || async {
            match clusters.get_opt(cluster).await? {
                None => Ok(Some(())),
                Some(cluster) => bail!("{}", cluster.data["status"]["conditions"]),
            }
        })
        .await
    }

    /// Deletes the certificate requests of a detached cluster, after its klusterlet has ended.
    pub async fn delete_requests(&self, cluster: &str) -> Result<()> {
        let label = format!("open-cluster-management.io/cluster-name={cluster}");
        self.plane.kubectl(&["delete", "csr", "-l", &label]).await.map(drop)
    }

    /// Creates the placement `everywhere` in namespace `default`: every cluster, also one that cannot be reached.
    pub async fn place_everywhere(&self) -> Result<()> {
        self.plane.apply_yaml(EVERYWHERE).await
    }

    /// Returns the `ManagedClusterAddOn` as JSON, if it exists.
    pub async fn add_on(&self, cluster: &str, name: &str) -> Result<Option<Value>> {
        let add_ons = self.add_ons(cluster);
        Ok(add_ons.get_opt(name).await?.map(serde_json::to_value).transpose()?)
    }

    /// Reads the status of a `ManagedClusterAddOn`.
    pub async fn template_reference(&self, cluster: &str, name: &str) -> Result<TemplateReference> {
        let add_on = self.add_on(cluster, name).await?.context("no ManagedClusterAddOn")?;
        let references = add_on["status"]["configReferences"].as_array().cloned();
        let template = |which: &str| {
            let mut all = references.iter().flatten();
            let found = all.find(|reference| reference["resource"] == "addontemplates")?;
            Some(found[which]["name"].as_str()?.to_owned())
        };
        Ok(TemplateReference {
            desired: template("desiredConfig"),
            applied: template("lastAppliedConfig"),
        })
    }

    /// Returns OCM's condition of the rollout on all clusters of the first placement.
    pub async fn progress(&self, name: &str) -> Result<Value> {
        let add_on = self.api(ADD_ON_GROUP, "v1alpha1", "ClusterManagementAddOn", None);
        let add_on = add_on.get(name).await?;
        Ok(add_on.data["status"]["installProgressions"][0]["conditions"][0].clone())
    }

    pub fn add_ons(&self, cluster: &str) -> Api<DynamicObject> {
        self.api(ADD_ON_GROUP, "v1alpha1", "ManagedClusterAddOn", Some(cluster))
    }

    pub fn fleet_add_ons(&self) -> Api<DynamicObject> {
        self.api(ADD_ON_GROUP, "v1alpha1", "ClusterManagementAddOn", None)
    }

    pub fn works(&self, cluster: &str) -> Api<DynamicObject> {
        self.api("work.open-cluster-management.io", "v1", "ManifestWork", Some(cluster))
    }

    /// Returns the last lines of every controller's log.
    pub fn log_end(&self, lines: usize) -> String {
        let controllers = self.controllers();
        controllers
            .iter()
            .chain(&self.conversion)
            .map(|process| process.last_lines(lines))
            .collect()
    }

    fn controllers(&self) -> MutexGuard<'_, Vec<Process>> {
        self.controllers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait_for_default_set(&self) -> Result<()> {
        let sets = self.api(CLUSTER_GROUP, "v1beta2", "ManagedClusterSet", None);
        until("OCM's registration controller to create the set global", JOIN, || async {
            for process in self.controllers().iter().chain(&self.conversion) {
                if process.exit_status()?.is_some() {
                    return Ok(Some(Err(anyhow::anyhow!("a controller ended"))));
                }
            }
            Ok(sets.get_opt("global").await?.map(|_| Ok(())))
        })
        .await?
    }

    /// Approves every certificate request of the cluster.
    async fn approve(&self, cluster: &str) -> Result<()> {
        let requests: Api<CertificateSigningRequest> = Api::all(self.plane.admin());
        let label = format!("open-cluster-management.io/cluster-name={cluster}");
        let params = ListParams::default().labels(&label);
        let names = until(&format!("{cluster} to ask for a certificate"), JOIN, || async {
            let list = requests.list(&params).await?;
            let names: Vec<_> =
                list.items.into_iter().filter_map(|request| request.metadata.name).collect();
            Ok((!names.is_empty()).then_some(names))
        })
        .await?;
        for name in names {
            let output = self.plane.kubectl(&["certificate", "approve", &name]).await?;
            ensure!(output.contains("approved"), "kubectl certificate approve: {output}");
        }
        Ok(())
    }

    fn api(
        &self,
        group: &str,
        version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match namespace {
            None => Api::all_with(self.plane.admin(), &resource),
            Some(namespace) => Api::namespaced_with(self.plane.admin(), namespace, &resource),
        }
    }
}

fn condition(object: &DynamicObject, kind: &str) -> Option<Value> {
    let conditions = object.data["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind).cloned()
}
