//! What Kubernetes itself puts in the way of going back.

use anyhow::{Context, Result, ensure};
use lifecycle::{Phase, Reason};
use serde_json::{Value, json};
use testbed::AddOn;
use testbed::bundle::{Bundle, JOB, NEVER_READY, READY, Spec, workload};
use testbed::wait::until;

use crate::LONG;
use crate::harness::Bed;
use crate::prerequisites::{custom, definition};

fn spec(name: &str, version: &str, bundle: &Bundle) -> Spec {
    Spec::inline(version, bundle).namespace(name)
}

/// Of a version that never becomes healthy: it is not waited for long. The way back has five minutes.
fn bad(name: &str, version: &str, bundle: &Bundle) -> Spec {
    spec(name, version, bundle).policy("timeout", "6s")
}

async fn images_of_pods(bed: &Bed, name: &str) -> Result<String> {
    let images = "jsonpath={.items[*].spec.containers[0].image}";
    let pods = format!("get pods --namespace {name} --output {images}");
    bed.managed().await?.kubectl(&pods).await
}

pub async fn a_stateful_set_is_freed_of_pods_that_never_become_ready(bed: &Bed) -> Result<()> {
    let name = "sets";
    let add_on = bed.managed().await?.add_on(name);
    let bundle = |image| {
        let mut set = workload("StatefulSet", "db", image);
        set["spec"]["replicas"] = json!(2);
        Bundle::new().namespace(name).object(set)
    };
    add_on.assign(&spec(name, "1.0.0", &bundle(READY))).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&bad(name, "1.1.0", &bundle(NEVER_READY))).await?;
    add_on.until_phase(Phase::RolledBack).await?;
    ensure!(images_of_pods(bed, name).await? == format!("{READY} {READY}"));
    // So it is on the way forward, where a third version takes the place of one that is stuck.
    add_on.assign(&spec(name, "1.2.0", &bundle(NEVER_READY))).await?;
    until("a pod to be stuck", LONG, || async {
        Ok(images_of_pods(bed, name).await?.contains(NEVER_READY).then_some(()))
    })
    .await?;
    let other = bundle(READY).config("settings", "other");
    add_on.assign(&spec(name, "1.3.0", &other)).await?;
    add_on.until_available("1.3.0").await?;
    ensure!(images_of_pods(bed, name).await? == format!("{READY} {READY}"));
    Ok(())
}

pub async fn a_deployment_is_recreate_again(bed: &Bed) -> Result<()> {
    let name = "recreated";
    let add_on = bed.managed().await?.add_on(name);
    let bundle = |image, strategy: Option<Value>| {
        let mut web = workload("Deployment", "web", image);
        web["spec"]["strategy"] = strategy.unwrap_or(Value::Null);
        Bundle::new().namespace(name).object(web)
    };
    let recreate = || Some(json!({"type": "Recreate"}));
    add_on.assign(&spec(name, "1.0.0", &bundle(READY, recreate()))).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&bad(name, "1.1.0", &bundle(NEVER_READY, None))).await?;
    add_on.until_phase(Phase::RolledBack).await?;
    ensure!(strategy(&add_on, name).await? == "Recreate");
    ensure!(add_on.image(name, "web").await?.as_deref() == Some(READY));
    // So it is on the way forward.
    add_on.assign(&spec(name, "1.2.0", &bundle(READY, None))).await?;
    add_on.until_available("1.2.0").await?;
    ensure!(strategy(&add_on, name).await? == "RollingUpdate");
    add_on.assign(&spec(name, "1.3.0", &bundle(READY, recreate()))).await?;
    add_on.until_available("1.3.0").await?;
    ensure!(strategy(&add_on, name).await? == "Recreate");
    // What contradicts itself is not deleted for that.
    let both = json!({"type": "Recreate", "rollingUpdate": {"maxSurge": 1}});
    add_on.assign(&spec(name, "1.4.0", &bundle(READY, Some(both)))).await?;
    let status = add_on.until_phase(Phase::Rejected).await?;
    ensure!(status.reason.as_deref() == Some(Reason::ImmutableField.name()), "{status:?}");
    ensure!(strategy(&add_on, name).await? == "Recreate");
    Ok(())
}

async fn strategy(add_on: &AddOn, namespace: &str) -> Result<String> {
    let web = add_on.object("apps/v1", "Deployment", namespace, "web").await?.context("no web")?;
    let strategy = web.pointer("/spec/strategy/type").and_then(Value::as_str);
    Ok(strategy.unwrap_or_default().to_owned())
}

pub async fn a_claim_that_grew_stays_and_the_rest_goes_back(bed: &Bed) -> Result<()> {
    let name = "grown";
    let managed = bed.managed().await?;
    let add_on = managed.add_on(name);
    managed.plane.apply_yaml(VOLUME).await?;
    let bundle = |image, size: &str| {
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
            "spec": {
                "storageClassName": "grows", "volumeName": "grown", "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": size}},
            },
        });
        Bundle::new().namespace(name).object(claim).deployment("web", image)
    };
    add_on.assign(&spec(name, "1.0.0", &bundle(READY, "1Gi"))).await?;
    add_on.until_available("1.0.0").await?;
    let bad = bad(name, "1.1.0", &bundle(NEVER_READY, "2Gi"));
    add_on.assign(&bad.policy("onUnsafe", "Proceed")).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() == Some("RollbackIncomplete"), "{message}");
    ensure!(message.contains("PersistentVolumeClaim grown/data"), "{message}");
    ensure!(add_on.image(name, "web").await?.as_deref() == Some(READY));
    Ok(())
}

const VOLUME: &str = "
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: grows}
provisioner: example.com/nobody
allowVolumeExpansion: true
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: grown}
spec:
  storageClassName: grows
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: /nowhere}
";

pub async fn a_job_of_the_version_that_failed_is_ended(bed: &Bed) -> Result<()> {
    let name = "migrated";
    let add_on = bed.managed().await?.add_on(name);
    let bundle = |image, web| {
        let pods = json!({
            "restartPolicy": "Never", "containers": [{"name": "main", "image": image}],
        });
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"},
            "spec": {"template": {"spec": pods}},
        });
        Bundle::new().namespace(name).object(job).deployment("web", web)
    };
    let job = || add_on.object("batch/v1", "Job", name, "migrate");
    add_on.assign(&spec(name, "1.0.0", &bundle(JOB, READY))).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&bad(name, "1.1.0", &bundle(NEVER_READY, NEVER_READY))).await?;
    add_on.until_phase(Phase::RolledBack).await?;
    ensure!(job().await?.is_none(), "what failed runs beside the old version");
    // The next version's own, which differs from both, stays when the old ones are pruned.
    let next = bundle(JOB, READY).config("settings", "next");
    add_on.assign(&spec(name, "1.2.0", &next)).await?;
    add_on.until_available("1.2.0").await?;
    let other = bundle("registry.example.com/job:2", READY);
    add_on.assign(&spec(name, "1.3.0", &other)).await?;
    add_on.until_available("1.3.0").await?;
    ensure!(job().await?.is_some(), "it was taken for an old one");
    Ok(())
}

pub async fn an_operator_outlives_what_it_cares_for(bed: &Bed) -> Result<()> {
    let name = "cared-for";
    let managed = bed.managed().await?;
    let add_on = managed.add_on(name);
    let old = Bundle::new().namespace(name).config("settings", "1");
    let mut gear = custom("Gear", "care.example.com", "main");
    gear["metadata"]["finalizers"] = json!(["care.example.com/held"]);
    let gears = definition("Gear", "care.example.com");
    let new = old.clone().object(gears).object(gear).deployment("operator", NEVER_READY);
    add_on.assign(&spec(name, "1.0.0", &old)).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&bad(name, "1.1.0", &new)).await?;
    let waits = |message: &str| message.contains("Gear") && message.contains("to be gone");
    let waiting = add_on
        .until("to wait for the finalizer", |status| status.message.as_deref().is_some_and(waits));
    waiting.await?;
    ensure!(add_on.image(name, "operator").await?.is_some(), "nobody is left to let it go");
    let free = json!({"metadata": {"finalizers": null}});
    let patch =
        format!("patch gear.care.example.com main --namespace {name} --type merge --patch {free}");
    managed.kubectl(&patch).await?;
    add_on.until_phase(Phase::RolledBack).await?;
    ensure!(add_on.image(name, "operator").await?.is_none(), "left behind");
    Ok(())
}

pub async fn what_is_not_served_any_more_is_told(bed: &Bed) -> Result<()> {
    let (name, group) = ("unserved", "unserved.example.com");
    let add_on = bed.managed().await?.add_on(name);
    install_dial(bed, &add_on, group).await?;
    add_on.assign(&dial(name, group, "v1", "1.1.0")).await?;
    let status = add_on.until_phase(Phase::Waiting).await?;
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() == Some("RollbackUnsafe"), "{message}");
    ensure!(message.contains(&format!("{group}/v1alpha1")), "{message}");
    Ok(())
}

pub async fn what_is_not_served_any_more_is_removed(bed: &Bed) -> Result<()> {
    let (name, group) = ("unserved-gone", "unserved-gone.example.com");
    let add_on = bed.managed().await?.add_on(name);
    install_dial(bed, &add_on, group).await?;
    add_on.delete().await?;
    add_on.until_gone().await?;
    let dial = add_on.object(&format!("{group}/v1"), "Dial", name, "main").await?;
    ensure!(dial.is_none(), "left behind: {dial:?}");
    Ok(())
}

/// Version 1.0.0 has a Dial in an old version, which ceases to be served while the agent remembers it.
async fn install_dial(bed: &Bed, add_on: &AddOn, group: &str) -> Result<()> {
    let managed = bed.managed().await?;
    let mut dials = definition("Dial", group);
    dials["spec"]["versions"][0]["served"] = json!(true);
    managed.plane.apply_yaml(&dials.to_string()).await?;
    add_on.assign(&dial(&add_on.name, group, "v1alpha1", "1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    dials["spec"]["versions"][0]["served"] = json!(false);
    managed.plane.apply_yaml(&dials.to_string()).await?;
    // What is served is told a moment after the definition changed.
    until("the old version to be served no more", LONG, || async {
        let answer = managed.kubectl(&format!("get --raw /apis/{group}/v1alpha1")).await;
        Ok(answer.is_err_and(|error| error.to_string().contains("NotFound")).then_some(()))
    })
    .await
}

fn dial(name: &str, group: &str, served: &str, version: &str) -> Spec {
    let mut dial = custom("Dial", group, "main");
    dial["apiVersion"] = json!(format!("{group}/{served}"));
    let bundle = Bundle::new().namespace(name).object(dial);
    spec(name, version, &bundle).policy("timeout", "90s")
}
