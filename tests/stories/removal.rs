//! Deleting a `ManagedAddOn`.

use anyhow::{Context, Result, ensure};
use lifecycle::Phase;
use serde_json::json;
use testbed::bundle::{Bundle, READY, Spec, workload};
use testbed::wait::until;

use crate::LONG;
use crate::harness::Bed;
use crate::prerequisites::{custom, definition};

pub async fn uninstall_removes_everything_in_reverse_order(bed: &Bed) -> Result<()> {
    let managed = bed.managed().await?;
    let add_on = managed.add_on("removed");
    let bundle =
        Bundle::new().namespace("removed").config("settings", "1").deployment("web", READY);
    add_on.assign(&Spec::inline("1.0.0", &bundle).namespace("removed")).await?;
    add_on.until_available("1.0.0").await?;
    add_on.delete().await?;
    add_on.until_gone().await?;
    ensure!(add_on.object("v1", "Namespace", "", "removed").await?.is_none());
    let deletes: Vec<String> = deletions(&managed.plane.audit()?, "removed");
    ensure!(deletes == ["deployments", "configmaps", "namespaces"], "{deletes:?}");
    let ours = "--selector lifecycle.open-cluster-management.io/addon=removed --output name";
    let secrets = format!("get secrets --namespace open-cluster-management-agent-addon {ours}");
    ensure!(managed.kubectl(&secrets).await?.is_empty(), "a retained release is left behind");
    Ok(())
}

/// What the installer deleted in or of a namespace, in order.
fn deletions(audit: &[serde_json::Value], namespace: &str) -> Vec<String> {
    let text = |event: &serde_json::Value, pointer: &str| {
        event.pointer(pointer).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
    };
    audit
        .iter()
        .filter(|event| {
            text(event, "/verb") == "delete" && text(event, "/stage") == "ResponseComplete"
        })
        .filter(|event| text(event, "/impersonatedUser/username").ends_with(":addon-installer"))
        .filter(|event| {
            text(event, "/objectRef/namespace") == namespace
                || text(event, "/objectRef/name") == namespace
        })
        .map(|event| text(event, "/objectRef/resource"))
        .collect()
}

pub async fn what_holds_data_or_is_others_stays(bed: &Bed) -> Result<()> {
    let managed = bed.managed().await?;
    let add_on = managed.add_on("guarded");
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "guarded"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Mi"}, "storageClassName": "",
            "hostPath": {"path": "/nowhere"},
        },
    });
    managed.plane.apply_yaml(&volume.to_string()).await?;
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": "guarded",
            "resources": {"requests": {"storage": "1Mi"}},
        },
    });
    let shared =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "guarded-shared"}});
    let bundle = Bundle::new().namespace("guarded").object(shared).config("settings", "1");
    let with_data = bundle.clone().object(claim);
    let spec = |version, bundle| Spec::inline(version, bundle).namespace("guarded");
    add_on.assign(&spec("1.0.0", &with_data)).await?;
    add_on.until_available("1.0.0").await?;
    managed.kubectl("create configmap others --namespace guarded-shared").await?;

    // Dropped from the bundle, the claim stays; so does it on removal.
    add_on.assign(&spec("1.1.0", &bundle)).await?;
    add_on.until_available("1.1.0").await?;
    ensure!(add_on.object("v1", "PersistentVolumeClaim", "guarded", "data").await?.is_some());
    add_on.delete().await?;
    add_on.until_gone().await?;
    ensure!(add_on.config("guarded", "settings").await?.is_none(), "left behind");
    let about = "--field-selector reason=Kept,regarding.name=guarded";
    let events = format!("get events.events.k8s.io --all-namespaces {about} --output json");
    let events = managed.kubectl(&events).await?;
    ensure!(events.contains("PersistentVolumeClaim guarded/data ("), "{events}");
    ensure!(events.contains("Namespace guarded-shared ("), "{events}");
    for namespace in ["guarded", "guarded-shared"] {
        let kept = add_on.object("v1", "Namespace", "", namespace).await?;
        ensure!(kept.is_some_and(|kept| kept.pointer("/metadata/deletionTimestamp").is_none()));
    }
    ensure!(add_on.object("v1", "PersistentVolumeClaim", "guarded", "data").await?.is_some());
    Ok(())
}

pub async fn what_is_going_anyway_keeps_no_namespace(bed: &Bed) -> Result<()> {
    let managed = bed.managed().await?;
    let add_on = managed.add_on("lingering");
    // Its pods take their time, as on a real node.
    let mut web = workload("Deployment", "web", READY);
    web["spec"]["template"]["metadata"]["finalizers"] = json!(["example.com/slow"]);
    let bundle = Bundle::new().namespace("lingering").object(web);
    add_on.assign(&Spec::inline("1.0.0", &bundle).namespace("lingering")).await?;
    add_on.until_available("1.0.0").await?;
    add_on.delete().await?;
    until("the namespace to be deleted, too", LONG, || async {
        let namespace = add_on.object("v1", "Namespace", "", "lingering").await?;
        let namespace = namespace.context("it is gone before its pods")?;
        Ok(namespace.pointer("/metadata/deletionTimestamp").map(drop))
    })
    .await?;
    let pod = managed.kubectl("get pods --namespace lingering --output name").await?;
    let free = json!({"metadata": {"finalizers": null}});
    let patch = format!("patch {} --namespace lingering --type merge --patch {free}", pod.trim());
    managed.kubectl(&patch).await?;
    add_on.until_gone().await?;
    ensure!(add_on.object("v1", "Namespace", "", "lingering").await?.is_none());
    Ok(())
}

pub async fn an_operator_outlives_what_a_later_version_gave_it(bed: &Bed) -> Result<()> {
    let (name, group) = ("outlives", "outlives.example.com");
    let managed = bed.managed().await?;
    let add_on = managed.add_on(name);
    let operator = Bundle::new().namespace(name).object(definition("Gear", group));
    let operator = operator.deployment("operator", READY);
    let mut gear = custom("Gear", group, "main");
    gear["metadata"]["finalizers"] = json!(["example.com/held"]);
    let with_gear = operator.clone().object(gear);
    let spec =
        |version, bundle| Spec::inline(version, bundle).namespace(name).policy("timeout", "90s");
    add_on.assign(&spec("1.0.0", &operator)).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&spec("1.1.0", &with_gear)).await?;
    add_on.until_available("1.1.0").await?;
    add_on.delete().await?;
    let blocks = |message: &String| message.contains("example.com/held");
    add_on
        .until("to say what blocks", |status| status.message.as_ref().is_some_and(blocks))
        .await?;
    ensure!(add_on.image(name, "operator").await?.is_some(), "nobody is left to let it go");
    let free = json!({"metadata": {"finalizers": null}});
    let patch = format!("patch gear.{group} main --namespace {name} --type merge --patch {free}");
    managed.kubectl(&patch).await?;
    add_on.until_gone().await?;
    ensure!(add_on.image(name, "operator").await?.is_none(), "left behind");
    Ok(())
}

pub async fn removing_says_what_blocks(bed: &Bed) -> Result<()> {
    let managed = bed.managed().await?;
    let add_on = managed.add_on("blocked");
    let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "stuck"}});
    map["metadata"]["finalizers"] = json!(["example.com/nobody"]);
    let bundle = Bundle::new().namespace("blocked").object(map);
    add_on.assign(&Spec::inline("1.0.0", &bundle).namespace("blocked")).await?;
    add_on.until_available("1.0.0").await?;
    add_on.delete().await?;
    let status = add_on
        .until("to say what blocks", |status| {
            status.message.as_ref().is_some_and(|message| message.contains("example.com/nobody"))
        })
        .await?;
    ensure!(status.phase == Some(Phase::Removing));
    let free = json!({"metadata": {"finalizers": null}});
    let patch = "patch configmap stuck --namespace blocked --type merge";
    managed.kubectl(&format!("{patch} --patch {free}")).await?;
    add_on.until_gone().await
}

pub async fn orphan_leaves_everything(bed: &Bed) -> Result<()> {
    let managed = bed.managed().await?;
    let add_on = managed.add_on("orphan");
    let bundle = Bundle::new().namespace("orphan").config("settings", "1");
    let spec = Spec::inline("1.0.0", &bundle).namespace("orphan").policy("deletion", "Orphan");
    add_on.assign(&spec).await?;
    add_on.until_available("1.0.0").await?;
    add_on.delete().await?;
    add_on.until_gone().await?;
    ensure!(add_on.config("orphan", "settings").await?.as_deref() == Some("1"));
    Ok(())
}
