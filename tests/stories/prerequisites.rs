//! What objects stand on: their namespace, their definition, the webhooks in their way, the release they came from.

use anyhow::{Context, Result, bail, ensure};
use lifecycle::Phase;
use serde_json::{Value, json};
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};
use testbed::wait::until;

use crate::harness::Bed;

fn spec(name: &str, version: &str, bundle: &Bundle) -> Spec {
    Spec::inline(version, bundle).namespace(name)
}

pub async fn a_namespace_that_is_dropped_stays_while_anything_kept_is_in_it(
    bed: &Bed,
) -> Result<()> {
    let add_on = bed.managed().await?.add_on("grounded");
    let inside = Bundle::new().config("settings", "1").deployment("web", READY);
    let whole = inside.clone().namespace("grounded");
    add_on.assign(&spec("grounded", "1.0.0", &whole)).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&spec("grounded", "1.1.0", &inside)).await?;
    add_on.until_available("1.1.0").await?;
    let namespace = add_on.object("v1", "Namespace", "", "grounded").await?;
    ensure!(namespace.is_some_and(|it| it.pointer("/metadata/deletionTimestamp").is_none()));
    ensure!(add_on.config("grounded", "settings").await?.is_some());
    Ok(())
}

/// The first version is not served, as where a definition has grown for years.
pub fn definition(kind: &str, group: &str) -> Value {
    let plural = format!("{}s", kind.to_lowercase());
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version = |name: &str, served: bool| json!({"name": name, "served": served, "storage": served, "schema": schema});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
            "versions": [version("v1alpha1", false), version("v1", true)],
        },
    })
}

pub fn custom(kind: &str, group: &str, name: &str) -> Value {
    let status = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    json!({
        "apiVersion": format!("{group}/v1"), "kind": kind,
        "metadata": {"name": name}, "status": status,
    })
}

pub async fn a_definition_stays_while_others_have_objects_of_it(bed: &Bed) -> Result<()> {
    let managed = bed.managed().await?;
    let add_on = managed.add_on("definer");
    let bundle = Bundle::new().namespace("definer").object(definition("Gadget", "a.example.com"));
    add_on.assign(&spec("definer", "1.0.0", &bundle)).await?;
    add_on.until_available("1.0.0").await?;
    // Theirs, and owned by something else of theirs, as child resources are; the labels were copied from something of ours.
    let mut theirs = custom("Gadget", "a.example.com", "theirs");
    theirs["metadata"]["labels"] = json!({"lifecycle.open-cluster-management.io/addon": "definer"});
    theirs["metadata"]["namespace"] = json!("default");
    let owner = managed.kubectl("get service kubernetes --namespace default --output json").await?;
    let owner: Value = serde_json::from_str(&owner)?;
    theirs["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "Service", "name": "kubernetes", "uid": owner["metadata"]["uid"],
    }]);
    managed.plane.apply_yaml(&theirs.to_string()).await?;
    add_on.delete().await?;
    add_on.until_gone().await?;
    let theirs = add_on.object("a.example.com/v1", "Gadget", "default", "theirs").await?;
    ensure!(theirs.is_some(), "somebody else's object went with the definition");
    Ok(())
}

pub async fn a_namespace_stays_for_others_objects_of_any_version(bed: &Bed) -> Result<()> {
    let (name, group) = ("any-version", "any-version.example.com");
    let managed = bed.managed().await?;
    let add_on = managed.add_on(name);
    // The group prefers v1, in which there is no Cog.
    let mut cogs = definition("Cog", group);
    cogs["spec"]["versions"][0] = cogs["spec"]["versions"][1].clone();
    cogs["spec"]["versions"][0]["name"] = json!("v1beta1");
    cogs["spec"]["versions"].as_array_mut().context("no versions")?.truncate(1);
    managed.plane.apply_yaml(&definition("Cam", group).to_string()).await?;
    managed.plane.apply_yaml(&cogs.to_string()).await?;
    let bundle = Bundle::new().namespace(name).config("settings", "1");
    add_on.assign(&spec(name, "1.0.0", &bundle)).await?;
    add_on.until_available("1.0.0").await?;
    let mut theirs = custom("Cog", group, "theirs");
    theirs["apiVersion"] = json!(format!("{group}/v1beta1"));
    theirs["metadata"]["namespace"] = json!(name);
    managed.plane.apply_yaml(&theirs.to_string()).await?;
    add_on.delete().await?;
    add_on.until_gone().await?;
    let theirs = add_on.object(&format!("{group}/v1beta1"), "Cog", name, "theirs").await?;
    let theirs = theirs.context("somebody else's object went with the namespace")?;
    ensure!(theirs.pointer("/metadata/deletionTimestamp").is_none(), "it is going");
    Ok(())
}

pub async fn a_definition_and_its_objects_go_together(bed: &Bed) -> Result<()> {
    let add_on = bed.managed().await?.add_on("customs-gone");
    let bundle = Bundle::new()
        .namespace("customs-gone")
        .object(definition("Widget", "b.example.com"))
        .object(custom("Widget", "b.example.com", "ours"));
    // Nobody writes its status, so that only the grace for that makes it Current.
    let spec = spec("customs-gone", "1.0.0", &bundle).policy("timeout", "90s");
    add_on.assign(&spec).await?;
    add_on.until_available("1.0.0").await?;
    add_on.delete().await?;
    add_on.until_gone().await?;
    let kind = "CustomResourceDefinition";
    let definition =
        add_on.object("apiextensions.k8s.io/v1", kind, "", "widgets.b.example.com").await?;
    ensure!(definition.is_none(), "left behind");
    Ok(())
}

/// It refuses every ConfigMap in this story's namespace as soon as it may fail: nobody answers for it.
fn webhook(name: &str, policy: &str, group: &str, resource: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [{
            "name": "hook.example.com", "failurePolicy": policy, "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "timeoutSeconds": 1,
            "clientConfig": {"service": {"namespace": name, "name": "nowhere"}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
            "rules": [{
                "apiGroups": [group], "apiVersions": ["*"], "resources": [resource],
                "operations": ["CREATE", "UPDATE"],
            }],
        }],
    })
}

pub async fn a_webhook_that_changed_for_the_worse_does_not_stop_the_way_back(
    bed: &Bed,
) -> Result<()> {
    let add_on = bed.managed().await?.add_on("hooked");
    let bundle = |value: &str, image, policy| {
        let hook = webhook("hooked", policy, "", "configmaps");
        Bundle::new().namespace("hooked").config("v", value).deployment("web", image).object(hook)
    };
    add_on.assign(&spec("hooked", "1.0.0", &bundle("1", READY, "Ignore"))).await?;
    add_on.until_available("1.0.0").await?;
    let bad = spec("hooked", "1.1.0", &bundle("2", NEVER_READY, "Fail"));
    add_on.assign(&bad.policy("timeout", "4s")).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    ensure!(status.current_version.as_deref() == Some("1.0.0"));
    ensure!(add_on.config("hooked", "v").await?.as_deref() == Some("1"));
    let kind = "ValidatingWebhookConfiguration";
    let hook = add_on.object("admissionregistration.k8s.io/v1", kind, "", "hooked").await?;
    let policy = hook.and_then(|hook| hook.pointer("/webhooks/0/failurePolicy").cloned());
    ensure!(policy == Some(json!("Ignore")), "{policy:?}");
    Ok(())
}

pub async fn a_webhook_that_locks_the_agent_out_is_refused(bed: &Bed) -> Result<()> {
    let add_on = bed.managed().await?.add_on("locked");
    let bundle = Bundle::new().namespace("locked").object(webhook("locked", "Fail", "*", "*"));
    add_on.assign(&spec("locked", "1.0.0", &bundle)).await?;
    let status = add_on.until_phase(Phase::Rejected).await?;
    ensure!(status.reason.as_deref() == Some("InvalidObject"));
    ensure!(status.message.unwrap_or_default().contains("hook.example.com"));
    Ok(())
}

pub async fn a_lost_release_is_retained_anew(bed: &Bed) -> Result<()> {
    let managed = bed.managed().await?;
    let add_on = managed.add_on("unretained");
    let bundle = Bundle::new().namespace("unretained").config("settings", "1");
    add_on.assign(&spec("unretained", "1.0.0", &bundle)).await?;
    add_on.until_available("1.0.0").await?;
    let secrets = "secrets --namespace open-cluster-management-agent-addon \
                   --selector lifecycle.open-cluster-management.io/addon=unretained";
    managed.kubectl(&format!("delete {secrets}")).await?;
    // Anything that makes the agent look.
    add_on.annotate("retry", Some("look")).await?;
    until("the release to be retained again", std::time::Duration::from_secs(60), || async {
        let found = managed.kubectl(&format!("get {secrets} --output name")).await?;
        if found.is_empty() { bail!("none yet") } else { Ok(Some(())) }
    })
    .await?;
    add_on.until_available("1.0.0").await?;
    Ok(())
}
