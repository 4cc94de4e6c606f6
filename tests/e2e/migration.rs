//! From an `AddOnTemplate` with an add-on's objects to one with a `ManagedAddOn` and back, as in docs/migration.md: nothing
//! is recreated and nothing restarts.

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use testbed::Progress;
use testbed::bundle::{Bundle, READY, Spec};
use testbed::ocm::Fleet;
use testbed::wait::until;

use crate::bed::{Bed, Cluster};
use crate::fleet::{TIMEOUT, strategy};

const ADD_ON: &str = "guestbook";

/// Objects and pods keep their UIDs on the way to the agent and back.
pub async fn migrate_template_and_back(progress: &Progress, bed: &Bed) -> Result<()> {
    let fleet = Fleet::new(&bed.hub, ADD_ON);
    let clusters = [&bed.one, &bed.two];

    progress.heading("An add-on that OCM installs object by object is handed over to the agent");
    fleet.plain_template("1.0.0", &template_objects(false)).await?;
    fleet.roll_out("1.0.0", &strategy()).await?;
    let mut before = Vec::new();
    for cluster in clusters {
        fleet.until_completed(cluster.name, "1.0.0", TIMEOUT).await?;
        before.push(uids(cluster, ADD_ON).await?);
    }
    progress.line("OCM has installed it on both clusters");
    fleet.plain_template("1.0.1", &template_objects(true)).await?;
    fleet.roll_out("1.0.1", &strategy()).await?;
    for cluster in clusters {
        fleet.until_completed(cluster.name, "1.0.1", TIMEOUT).await?;
        until_without_owner(cluster).await?;
    }
    progress.line("OCM leaves every object behind when it removes the add-on");
    fleet.template(&spec("1.1.0").policy("adopt", true)).await?;
    fleet.roll_out_with_rules_of("1.1.0", "1.1.0", &strategy()).await?;
    for cluster in clusters {
        cluster.add_on(ADD_ON).until_available("1.1.0").await?;
        fleet.until_completed(cluster.name, "1.1.0", TIMEOUT).await?;
    }
    ensure_same(clusters, &before).await?;
    progress.line("the agent runs it on both, with the same objects and pods");

    progress.heading("The add-on is handed back to OCM");
    fleet.template(&spec("1.1.1").policy("deletion", "Orphan")).await?;
    fleet.roll_out("1.1.1", &strategy()).await?;
    for cluster in clusters {
        fleet.until_completed(cluster.name, "1.1.1", TIMEOUT).await?;
    }
    fleet.plain_template("1.2.0", &template_objects(false)).await?;
    fleet.roll_out_with_rules_of("1.2.0", "1.2.0", &strategy()).await?;
    for cluster in clusters {
        cluster.add_on(ADD_ON).until_gone().await?;
        fleet.until_completed(cluster.name, "1.2.0", TIMEOUT).await?;
    }
    ensure_same(clusters, &before).await?;
    progress.line("OCM owns each object again, and they are still the same");
    fleet.remove().await?;
    for cluster in clusters {
        until_removed(cluster, ADD_ON).await?;
    }
    progress.line("OCM removes it");
    Ok(())
}

fn bundle() -> Bundle {
    Bundle::new().namespace(ADD_ON).config("settings", "as before").deployment("web", READY)
}

/// Returns the objects of a template. With `orphan`, OCM leaves them behind when it removes the add-on.
fn template_objects(orphan: bool) -> Vec<Value> {
    let mut objects = bundle().objects().to_vec();
    for object in &mut objects {
        if object["kind"] != "Namespace" {
            object["metadata"]["namespace"] = json!(ADD_ON);
        }
        if orphan {
            object["metadata"]["annotations"] =
                json!({"addon.open-cluster-management.io/deletion-orphan": ""});
        }
    }
    objects
}

/// Returns a version with the variable that OCM adds to each container of a template's Deployments. So no pod has to be
/// replaced.
fn spec(version: &str) -> Spec {
    let mut bundle = Bundle::new();
    for mut object in self::bundle().objects().iter().cloned() {
        if object["kind"] == "Deployment" {
            object["spec"]["template"]["spec"]["containers"][0]["env"] =
                json!([{"name": "CLUSTER_NAME", "value": "${CLUSTER_NAME}"}]);
        }
        bundle = bundle.object(object);
    }
    let spec = Spec::inline(version, &bundle).namespace(ADD_ON).policy("soak", "5s");
    spec.with("values", json!({"CLUSTER_NAME": "{{CLUSTER_NAME}}"}))
}

/// Returns the UIDs of all objects and pods of an add-on in a namespace of its name, once its pod is ready.
pub async fn uids(cluster: &Cluster, name: &str) -> Result<Vec<String>> {
    until(&format!("{name} to run on {}", cluster.name), TIMEOUT, || async {
        let pods: Api<Pod> = Api::namespaced(cluster.managed.plane.admin(), name);
        let pods = pods.list(&ListParams::default()).await?.items;
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        if (ready, pods.len()) != (1, 1) {
            bail!("{ready} of {} pods are ready", pods.len());
        }
        let mut uids: Vec<String> = pods.into_iter().filter_map(|pod| pod.metadata.uid).collect();
        for object in objects(cluster, name).await? {
            uids.push(object["metadata"]["uid"].to_string());
        }
        Ok(Some(uids))
    })
    .await
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|it| it.type_ == "Ready" && it.status == "True")
}

/// Returns the objects of an add-on in a namespace of its name.
pub async fn objects(cluster: &Cluster, name: &str) -> Result<[Value; 3]> {
    let add_on = cluster.add_on(name);
    let namespace = add_on.object("v1", "Namespace", "", name).await?;
    let settings = add_on.object("v1", "ConfigMap", name, "settings").await?;
    let deployment = add_on.object("apps/v1", "Deployment", name, "web").await?;
    Ok([
        namespace.context("no Namespace")?,
        settings.context("no ConfigMap")?,
        deployment.context("no Deployment")?,
    ])
}

async fn ensure_same(clusters: [&Cluster; 2], before: &[Vec<String>]) -> Result<()> {
    for (cluster, before) in clusters.into_iter().zip(before) {
        let after = uids(cluster, ADD_ON).await?;
        ensure!(after == *before, "objects on {} were {before:?} and are {after:?}", cluster.name);
    }
    Ok(())
}

/// Waits until the klusterlet owns no object any more.
async fn until_without_owner(cluster: &Cluster) -> Result<()> {
    until(
        &format!("the klusterlet of {} to give up its objects", cluster.name),
        TIMEOUT,
        || async {
            let objects = objects(cluster, ADD_ON).await?;
            let owned = objects.iter().find(|it| !it["metadata"]["ownerReferences"].is_null());
            match owned {
                None => Ok(Some(())),
                Some(owned) => bail!("{}", owned["metadata"]),
            }
        },
    )
    .await
}

/// Waits until the Deployment of an add-on is removed.
pub async fn until_removed(cluster: &Cluster, name: &str) -> Result<()> {
    until(&format!("{name} to be removed from {}", cluster.name), TIMEOUT, || async {
        Ok(cluster
            .add_on(name)
            .object("apps/v1", "Deployment", name, "web")
            .await?
            .is_none()
            .then_some(()))
    })
    .await
}
