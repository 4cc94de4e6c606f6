//! The deletion of a `ManagedAddOn`.

use anyhow::{Context, Result, ensure};
use lifecycle::Phase;
use serde_json::json;
use testbed::bundle::{Bundle, READY, Spec, workload};
use testbed::wait::until;

use crate::TIMEOUT;
use crate::harness::Shared;
use crate::prerequisites::{crd, custom_resource};

pub async fn uninstall_removes_everything_in_reverse_order(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
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
    let selector = "--selector lifecycle.open-cluster-management.io/addon=removed --output name";
    let secrets = format!("get secrets --namespace open-cluster-management-agent-addon {selector}");
    ensure!(managed.kubectl(&secrets).await?.is_empty(), "a retained release was not removed");
    Ok(())
}

/// Returns the resources that the installer deleted in a namespace, and the namespace itself, in order.
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

pub async fn objects_with_data_and_foreign_objects_survive_an_uninstall(
    shared: &Shared,
) -> Result<()> {
    let managed = shared.managed().await?;
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
    let shared_namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "guarded-shared"}});
    let bundle =
        Bundle::new().namespace("guarded").object(shared_namespace).config("settings", "1");
    let with_data = bundle.clone().object(claim);
    let spec = |version, bundle| Spec::inline(version, bundle).namespace("guarded");
    add_on.assign(&spec("1.0.0", &with_data)).await?;
    add_on.until_available("1.0.0").await?;
    managed.kubectl("create configmap others --namespace guarded-shared").await?;

    // The claim stays when a version drops it, and when the add-on is removed.
    add_on.assign(&spec("1.1.0", &bundle)).await?;
    add_on.until_available("1.1.0").await?;
    ensure!(add_on.object("v1", "PersistentVolumeClaim", "guarded", "data").await?.is_some());
    add_on.delete().await?;
    add_on.until_gone().await?;
    ensure!(add_on.config("guarded", "settings").await?.is_none(), "not removed");
    let selector = "--field-selector reason=Kept,regarding.name=guarded";
    let events = format!("get events.events.k8s.io --all-namespaces {selector} --output json");
    let events = managed.kubectl(&events).await?;
    ensure!(events.contains("PersistentVolumeClaim guarded/data ("), "{events}");
    ensure!(events.contains("Namespace guarded-shared ("), "{events}");
    for namespace in ["guarded", "guarded-shared"] {
        let existing = add_on.object("v1", "Namespace", "", namespace).await?;
        ensure!(existing.is_some_and(|it| it.pointer("/metadata/deletionTimestamp").is_none()));
    }
    ensure!(add_on.object("v1", "PersistentVolumeClaim", "guarded", "data").await?.is_some());
    Ok(())
}

pub async fn pods_that_are_still_terminating_do_not_keep_a_namespace(
    shared: &Shared,
) -> Result<()> {
    let managed = shared.managed().await?;
    let add_on = managed.add_on("lingering");
    // Its pods take time to end, as on a real node.
    let mut web = workload("Deployment", "web", READY);
    web["spec"]["template"]["metadata"]["finalizers"] = json!(["example.com/slow"]);
    let bundle = Bundle::new().namespace("lingering").object(web);
    add_on.assign(&Spec::inline("1.0.0", &bundle).namespace("lingering")).await?;
    add_on.until_available("1.0.0").await?;
    add_on.delete().await?;
    until("the namespace to be deleted too", TIMEOUT, || async {
        let namespace = add_on.object("v1", "Namespace", "", "lingering").await?;
        let namespace = namespace.context("the namespace was removed before its pods")?;
        Ok(namespace.pointer("/metadata/deletionTimestamp").map(drop))
    })
    .await?;
    let pod = managed.kubectl("get pods --namespace lingering --output name").await?;
    let finalizers = json!({"metadata": {"finalizers": null}});
    let patch =
        format!("patch {} --namespace lingering --type merge --patch {finalizers}", pod.trim());
    managed.kubectl(&patch).await?;
    add_on.until_gone().await?;
    ensure!(add_on.object("v1", "Namespace", "", "lingering").await?.is_none());
    Ok(())
}

pub async fn an_operator_is_removed_after_a_custom_resource_of_a_later_version(
    shared: &Shared,
) -> Result<()> {
    let (name, group) = ("outlives", "outlives.example.com");
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    let operator = Bundle::new().namespace(name).object(crd("Gear", group));
    let operator = operator.deployment("operator", READY);
    let mut gear = custom_resource("Gear", group, "main");
    gear["metadata"]["finalizers"] = json!(["example.com/held"]);
    let with_gear = operator.clone().object(gear);
    let spec =
        |version, bundle| Spec::inline(version, bundle).namespace(name).policy("timeout", "90s");
    add_on.assign(&spec("1.0.0", &operator)).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&spec("1.1.0", &with_gear)).await?;
    add_on.until_available("1.1.0").await?;
    add_on.delete().await?;
    let names_blocker = |message: &String| message.contains("example.com/held");
    add_on
        .until("to name the object that blocks", |status| {
            status.message.as_ref().is_some_and(names_blocker)
        })
        .await?;
    ensure!(
        add_on.image(name, "operator").await?.is_some(),
        "the operator was removed before its custom resource"
    );
    let finalizers = json!({"metadata": {"finalizers": null}});
    let patch =
        format!("patch gear.{group} main --namespace {name} --type merge --patch {finalizers}");
    managed.kubectl(&patch).await?;
    add_on.until_gone().await?;
    ensure!(add_on.image(name, "operator").await?.is_none(), "not removed");
    Ok(())
}

pub async fn the_status_names_the_object_that_blocks_a_removal(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let add_on = managed.add_on("blocked");
    let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "stuck"}});
    map["metadata"]["finalizers"] = json!(["example.com/nobody"]);
    let bundle = Bundle::new().namespace("blocked").object(map);
    add_on.assign(&Spec::inline("1.0.0", &bundle).namespace("blocked")).await?;
    add_on.until_available("1.0.0").await?;
    add_on.delete().await?;
    let status = add_on
        .until("to name the object that blocks", |status| {
            status.message.as_ref().is_some_and(|message| message.contains("example.com/nobody"))
        })
        .await?;
    ensure!(status.phase == Some(Phase::Removing));
    let finalizers = json!({"metadata": {"finalizers": null}});
    let patch = "patch configmap stuck --namespace blocked --type merge";
    managed.kubectl(&format!("{patch} --patch {finalizers}")).await?;
    add_on.until_gone().await
}

pub async fn a_refused_deletion_keeps_nothing_else(shared: &Shared) -> Result<()> {
    let (name, group) = ("denied", "denied.example.com");
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    let bundle = Bundle::new().namespace(name).object(crd("Gear", group)).config("settings", "1");
    let bundle =
        bundle.deployment("operator", READY).object(custom_resource("Gear", group, "main"));
    let spec = Spec::inline("1.0.0", &bundle).namespace(name).policy("timeout", "90s");
    add_on.assign(&spec).await?;
    add_on.until_available("1.0.0").await?;
    for object in deny_deletion(name, group) {
        managed.plane.apply_yaml(&object.to_string()).await?;
    }
    let gear = format!("gear.{group} main --namespace {name}");
    let dry_run = format!("delete {gear} --dry-run=server");
    until("the policy to be in force", TIMEOUT, async || {
        Ok(managed.kubectl(&dry_run).await.is_err().then_some(()))
    })
    .await?;

    add_on.delete().await?;
    until("everything else to be removed", TIMEOUT, async || {
        let workload = add_on.image(name, "operator").await?;
        let config = add_on.config(name, "settings").await?;
        Ok((workload.is_none() && config.is_none()).then_some(()))
    })
    .await?;
    let names_gear = |message: &String| message.contains("Gear denied/main");
    let status = add_on
        .until("to name what is refused", |status| status.message.as_ref().is_some_and(names_gear))
        .await?;
    ensure!(status.phase == Some(Phase::Removing));
    // Its namespace and definition would take it along.
    managed.kubectl(&format!("get {gear}")).await?;

    managed.kubectl(&format!("delete validatingadmissionpolicybinding {name}")).await?;
    add_on.until_gone().await?;
    ensure!(add_on.object("v1", "Namespace", "", name).await?.is_none());
    managed.kubectl(&format!("delete validatingadmissionpolicy {name}")).await.map(drop)
}

/// An admission policy that denies the deletion of Gears.
fn deny_deletion(name: &str, group: &str) -> [serde_json::Value; 2] {
    let rule = json!({
        "apiGroups": [group], "apiVersions": ["*"], "operations": ["DELETE"], "resources": ["*"],
    });
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "false", "message": "gears stay"}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    });
    [policy, binding]
}

pub async fn deletion_policy_orphan_leaves_everything(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
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
