//! Rollbacks in which Kubernetes itself is an obstacle.

use anyhow::{Context, Result, ensure};
use lifecycle::{Phase, Reason};
use serde_json::{Value, json};
use testbed::AddOn;
use testbed::bundle::{Bundle, JOB, NEVER_READY, READY, Spec, workload};
use testbed::wait::until;

use crate::TIMEOUT;
use crate::harness::Shared;
use crate::prerequisites::{crd, custom_resource};

fn spec(name: &str, version: &str, bundle: &Bundle) -> Spec {
    Spec::inline(version, bundle).namespace(name)
}

/// Returns a version that never becomes healthy, with a short time-out. Its rollback has five minutes.
fn failing(name: &str, version: &str, bundle: &Bundle) -> Spec {
    spec(name, version, bundle).policy("timeout", "6s")
}

async fn pod_images(shared: &Shared, name: &str) -> Result<String> {
    let images = "jsonpath={.items[*].spec.containers[0].image}";
    let pods = format!("get pods --namespace {name} --output {images}");
    shared.managed().await?.kubectl(&pods).await
}

pub async fn pods_that_never_become_ready_do_not_block_a_stateful_set(
    shared: &Shared,
) -> Result<()> {
    let name = "sets";
    let add_on = shared.managed().await?.add_on(name);
    let bundle = |image| {
        let mut set = workload("StatefulSet", "db", image);
        set["spec"]["replicas"] = json!(2);
        Bundle::new().namespace(name).object(set)
    };
    add_on.assign(&spec(name, "1.0.0", &bundle(READY))).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&failing(name, "1.1.0", &bundle(NEVER_READY))).await?;
    add_on.until_phase(Phase::RolledBack).await?;
    ensure!(pod_images(shared, name).await? == format!("{READY} {READY}"));
    // The same holds for an upgrade that supersedes a stuck version.
    add_on.assign(&spec(name, "1.2.0", &bundle(NEVER_READY))).await?;
    until("a pod to be stuck", TIMEOUT, || async {
        Ok(pod_images(shared, name).await?.contains(NEVER_READY).then_some(()))
    })
    .await?;
    let other = bundle(READY).config("settings", "other");
    add_on.assign(&spec(name, "1.3.0", &other)).await?;
    add_on.until_available("1.3.0").await?;
    ensure!(pod_images(shared, name).await? == format!("{READY} {READY}"));
    Ok(())
}

pub async fn a_deployment_returns_to_the_strategy_recreate(shared: &Shared) -> Result<()> {
    let name = "recreated";
    let add_on = shared.managed().await?.add_on(name);
    let bundle = |image, strategy: Option<Value>| {
        let mut web = workload("Deployment", "web", image);
        web["spec"]["strategy"] = strategy.unwrap_or(Value::Null);
        Bundle::new().namespace(name).object(web)
    };
    let recreate = || Some(json!({"type": "Recreate"}));
    add_on.assign(&spec(name, "1.0.0", &bundle(READY, recreate()))).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&failing(name, "1.1.0", &bundle(NEVER_READY, None))).await?;
    add_on.until_phase(Phase::RolledBack).await?;
    ensure!(strategy(&add_on, name).await? == "Recreate");
    ensure!(add_on.image(name, "web").await?.as_deref() == Some(READY));
    // The same holds for an upgrade.
    add_on.assign(&spec(name, "1.2.0", &bundle(READY, None))).await?;
    add_on.until_available("1.2.0").await?;
    ensure!(strategy(&add_on, name).await? == "RollingUpdate");
    add_on.assign(&spec(name, "1.3.0", &bundle(READY, recreate()))).await?;
    add_on.until_available("1.3.0").await?;
    ensure!(strategy(&add_on, name).await? == "Recreate");
    // A strategy that contradicts itself would be refused of a new object, too.
    let both = json!({"type": "Recreate", "rollingUpdate": {"maxSurge": 1}});
    add_on.assign(&spec(name, "1.4.0", &bundle(READY, Some(both)))).await?;
    let status = add_on.until_phase(Phase::Rejected).await?;
    ensure!(status.reason.as_deref() == Some(Reason::ObjectRefused.name()), "{status:?}");
    ensure!(strategy(&add_on, name).await? == "Recreate");
    Ok(())
}

async fn strategy(add_on: &AddOn, namespace: &str) -> Result<String> {
    let web = add_on.object("apps/v1", "Deployment", namespace, "web").await?.context("no web")?;
    let strategy = web.pointer("/spec/strategy/type").and_then(Value::as_str);
    Ok(strategy.unwrap_or_default().to_owned())
}

pub async fn a_claim_that_grew_stays_and_everything_else_is_rolled_back(
    shared: &Shared,
) -> Result<()> {
    let name = "grown";
    let managed = shared.managed().await?;
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
    let failing = failing(name, "1.1.0", &bundle(NEVER_READY, "2Gi"));
    add_on.assign(&failing.policy("onUnsafe", "Proceed")).await?;
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

pub async fn a_job_of_the_failed_version_is_ended(shared: &Shared) -> Result<()> {
    let name = "migrated";
    let add_on = shared.managed().await?.add_on(name);
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
    add_on.assign(&failing(name, "1.1.0", &bundle(NEVER_READY, NEVER_READY))).await?;
    add_on.until_phase(Phase::RolledBack).await?;
    ensure!(job().await?.is_none(), "the Job of the failed version still runs");
    // The next version's Job differs from both and stays when the old ones are pruned.
    let next = bundle(JOB, READY).config("settings", "next");
    add_on.assign(&spec(name, "1.2.0", &next)).await?;
    add_on.until_available("1.2.0").await?;
    let other = bundle("registry.example.com/job:2", READY);
    add_on.assign(&spec(name, "1.3.0", &other)).await?;
    add_on.until_available("1.3.0").await?;
    ensure!(job().await?.is_some(), "the Job of the current version was pruned");
    Ok(())
}

pub async fn an_operator_is_pruned_after_its_custom_resource(shared: &Shared) -> Result<()> {
    let name = "cared-for";
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    let old = Bundle::new().namespace(name).config("settings", "1");
    let mut gear = custom_resource("Gear", "care.example.com", "main");
    gear["metadata"]["finalizers"] = json!(["care.example.com/held"]);
    let gears = crd("Gear", "care.example.com");
    let new = old.clone().object(gears).object(gear).deployment("operator", NEVER_READY);
    add_on.assign(&spec(name, "1.0.0", &old)).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&failing(name, "1.1.0", &new)).await?;
    let is_waiting = |message: &str| message.contains("Gear") && message.contains("to be gone");
    let waiting = add_on.until("to wait for the finalizer", |status| {
        status.message.as_deref().is_some_and(is_waiting)
    });
    waiting.await?;
    ensure!(
        add_on.image(name, "operator").await?.is_some(),
        "the operator was removed before its custom resource"
    );
    let finalizers = json!({"metadata": {"finalizers": null}});
    let patch = format!(
        "patch gear.care.example.com main --namespace {name} --type merge --patch {finalizers}"
    );
    managed.kubectl(&patch).await?;
    add_on.until_phase(Phase::RolledBack).await?;
    ensure!(add_on.image(name, "operator").await?.is_none(), "not removed");
    Ok(())
}

pub async fn an_api_version_that_is_not_served_any_more_makes_a_rollback_unsafe(
    shared: &Shared,
) -> Result<()> {
    let (name, group) = ("unserved", "unserved.example.com");
    let add_on = shared.managed().await?.add_on(name);
    install_dial(shared, &add_on, group).await?;
    add_on.assign(&dial(name, group, "v1", "1.1.0")).await?;
    let status = add_on.until_phase(Phase::Waiting).await?;
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() == Some("RollbackUnsafe"), "{message}");
    ensure!(message.contains(&format!("{group}/v1alpha1")), "{message}");
    Ok(())
}

pub async fn an_object_of_an_api_version_that_is_not_served_any_more_is_removed(
    shared: &Shared,
) -> Result<()> {
    let (name, group) = ("unserved-gone", "unserved-gone.example.com");
    let add_on = shared.managed().await?.add_on(name);
    install_dial(shared, &add_on, group).await?;
    add_on.delete().await?;
    add_on.until_gone().await?;
    let dial = add_on.object(&format!("{group}/v1"), "Dial", name, "main").await?;
    ensure!(dial.is_none(), "not removed: {dial:?}");
    Ok(())
}

/// Installs version 1.0.0 with a Dial in an old API version. That version ceases to be served while the agent remembers
/// it.
async fn install_dial(shared: &Shared, add_on: &AddOn, group: &str) -> Result<()> {
    let managed = shared.managed().await?;
    let mut dials = crd("Dial", group);
    dials["spec"]["versions"][0]["served"] = json!(true);
    managed.plane.apply_yaml(&dials.to_string()).await?;
    add_on.assign(&dial(&add_on.name, group, "v1alpha1", "1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    dials["spec"]["versions"][0]["served"] = json!(false);
    managed.plane.apply_yaml(&dials.to_string()).await?;
    // API discovery follows a change of the CRD a moment later.
    until("the old API version not to be served any more", TIMEOUT, || async {
        let response = managed.kubectl(&format!("get --raw /apis/{group}/v1alpha1")).await;
        Ok(response.is_err_and(|error| error.to_string().contains("NotFound")).then_some(()))
    })
    .await
}

fn dial(name: &str, group: &str, served: &str, version: &str) -> Spec {
    let mut dial = custom_resource("Dial", group, "main");
    dial["apiVersion"] = json!(format!("{group}/{served}"));
    let bundle = Bundle::new().namespace(name).object(dial);
    spec(name, version, &bundle).policy("timeout", "90s")
}
