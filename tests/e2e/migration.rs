//! From an AddOnTemplate that holds an add-on's objects to one that holds a `ManagedAddOn`, and back, as docs/migration.md
//! says: nothing is made anew and nothing restarts.

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use testbed::Progress;
use testbed::bundle::{Bundle, READY, Spec};
use testbed::ocm::Fleet;
use testbed::wait::until;

use crate::bed::{Bed, Site};
use crate::fleet::{PATIENCE, strategy};

const ADD_ON: &str = "guestbook";

pub async fn from_a_template_and_back(progress: &Progress, bed: &Bed) -> Result<()> {
    let fleet = Fleet::new(&bed.hub, ADD_ON);
    let sites = [&bed.one, &bed.two];

    progress.heading("An add-on that OCM installs object by object is handed over to the agent");
    fleet.plain_template("1.0.0", &objects(false)).await?;
    fleet.roll_out("1.0.0", &strategy()).await?;
    let mut before = Vec::new();
    for site in sites {
        fleet.until_completed(site.name, "1.0.0", PATIENCE).await?;
        before.push(identity(site, ADD_ON).await?);
    }
    progress.line("OCM has installed it on both clusters");
    fleet.plain_template("1.0.1", &objects(true)).await?;
    fleet.roll_out("1.0.1", &strategy()).await?;
    for site in sites {
        fleet.until_completed(site.name, "1.0.1", PATIENCE).await?;
        until_nobodys(site).await?;
    }
    progress.line("OCM would leave every object behind");
    fleet.template(&spec("1.1.0").policy("adopt", true)).await?;
    fleet.roll_out_with_rules_of("1.1.0", "1.1.0", &strategy()).await?;
    for site in sites {
        site.add_on(ADD_ON).until_available("1.1.0").await?;
        fleet.until_completed(site.name, "1.1.0", PATIENCE).await?;
    }
    same(sites, &before).await?;
    progress.line("the agent runs it on both; every object and every pod is the one from before");

    progress.heading("And back");
    fleet.template(&spec("1.1.1").policy("deletion", "Orphan")).await?;
    fleet.roll_out("1.1.1", &strategy()).await?;
    for site in sites {
        fleet.until_completed(site.name, "1.1.1", PATIENCE).await?;
    }
    fleet.plain_template("1.2.0", &objects(false)).await?;
    fleet.roll_out_with_rules_of("1.2.0", "1.2.0", &strategy()).await?;
    for site in sites {
        site.add_on(ADD_ON).until_gone().await?;
        fleet.until_completed(site.name, "1.2.0", PATIENCE).await?;
    }
    same(sites, &before).await?;
    progress.line("OCM keeps it again, object by object, and they are still the same");
    fleet.remove().await?;
    for site in sites {
        until_removed(site, ADD_ON).await?;
    }
    progress.line("and removes it");
    Ok(())
}

fn bundle() -> Bundle {
    Bundle::new().namespace(ADD_ON).config("settings", "as before").deployment("web", READY)
}

/// As a template has them; marked, OCM leaves them behind.
fn objects(marked: bool) -> Vec<Value> {
    let mut objects = bundle().objects().to_vec();
    for object in &mut objects {
        if object["kind"] != "Namespace" {
            object["metadata"]["namespace"] = json!(ADD_ON);
        }
        if marked {
            object["metadata"]["annotations"] =
                json!({"addon.open-cluster-management.io/deletion-orphan": ""});
        }
    }
    objects
}

/// With what OCM adds to each container of a template's Deployments, so that no pod has to be replaced.
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

/// UIDs of all objects and pods of an add-on that lives in a namespace of its name.
pub async fn identity(site: &Site, name: &str) -> Result<Vec<String>> {
    until(&format!("{name} to run on {}", site.name), PATIENCE, || async {
        let pods: Api<Pod> = Api::namespaced(site.managed.plane.admin(), name);
        let pods = pods.list(&ListParams::default()).await?.items;
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        if (ready, pods.len()) != (1, 1) {
            bail!("{ready} of {} pods are ready", pods.len());
        }
        let mut uids: Vec<String> = pods.into_iter().filter_map(|pod| pod.metadata.uid).collect();
        for object in living(site, name).await? {
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

pub async fn living(site: &Site, name: &str) -> Result<[Value; 3]> {
    let add_on = site.add_on(name);
    let namespace = add_on.object("v1", "Namespace", "", name).await?;
    let settings = add_on.object("v1", "ConfigMap", name, "settings").await?;
    let deployment = add_on.object("apps/v1", "Deployment", name, "web").await?;
    Ok([
        namespace.context("no Namespace")?,
        settings.context("no ConfigMap")?,
        deployment.context("no Deployment")?,
    ])
}

async fn same(sites: [&Site; 2], before: &[Vec<String>]) -> Result<()> {
    for (site, before) in sites.into_iter().zip(before) {
        let after = identity(site, ADD_ON).await?;
        ensure!(after == *before, "on {} {before:?} became {after:?}", site.name);
    }
    Ok(())
}

/// The klusterlet has let go of every object.
async fn until_nobodys(site: &Site) -> Result<()> {
    until(&format!("the klusterlet of {} to let go", site.name), PATIENCE, || async {
        let objects = living(site, ADD_ON).await?;
        let owned = objects.iter().find(|it| !it["metadata"]["ownerReferences"].is_null());
        match owned {
            None => Ok(Some(())),
            Some(owned) => bail!("{}", owned["metadata"]),
        }
    })
    .await
}

pub async fn until_removed(site: &Site, name: &str) -> Result<()> {
    until(&format!("{name} to be removed from {}", site.name), PATIENCE, || async {
        Ok(site
            .add_on(name)
            .object("apps/v1", "Deployment", name, "web")
            .await?
            .is_none()
            .then_some(()))
    })
    .await
}
