//! Objects and data on which other objects depend: namespaces, CRDs, webhooks, and the retained release.

use anyhow::{Context, Result, bail, ensure};
use lifecycle::Phase;
use serde_json::{Value, json};
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};
use testbed::wait::until;

use crate::harness::Shared;

fn spec(name: &str, version: &str, bundle: &Bundle) -> Spec {
    Spec::inline(version, bundle).namespace(name)
}

pub async fn a_namespace_that_a_version_dropped_stays_while_objects_of_the_add_on_are_in_it(
    shared: &Shared,
) -> Result<()> {
    let add_on = shared.managed().await?.add_on("grounded");
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

/// Returns a CRD whose first version is not served, like one that has changed for years.
pub fn crd(kind: &str, group: &str) -> Value {
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

/// Returns a custom resource that is ready.
pub fn custom_resource(kind: &str, group: &str, name: &str) -> Value {
    let status = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    json!({
        "apiVersion": format!("{group}/v1"), "kind": kind,
        "metadata": {"name": name}, "status": status,
    })
}

pub async fn a_crd_stays_while_foreign_objects_of_its_kind_exist(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let add_on = managed.add_on("definer");
    let bundle = Bundle::new().namespace("definer").object(crd("Gadget", "a.example.com"));
    add_on.assign(&spec("definer", "1.0.0", &bundle)).await?;
    add_on.until_available("1.0.0").await?;
    // A foreign object with a foreign owner, like a child resource. Its label was copied from an object of the add-on.
    let mut foreign = custom_resource("Gadget", "a.example.com", "foreign");
    foreign["metadata"]["labels"] =
        json!({"lifecycle.open-cluster-management.io/addon": "definer"});
    foreign["metadata"]["namespace"] = json!("default");
    let owner = managed.kubectl("get service kubernetes --namespace default --output json").await?;
    let owner: Value = serde_json::from_str(&owner)?;
    foreign["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "Service", "name": "kubernetes", "uid": owner["metadata"]["uid"],
    }]);
    managed.plane.apply_yaml(&foreign.to_string()).await?;
    add_on.delete().await?;
    add_on.until_gone().await?;
    let foreign = add_on.object("a.example.com/v1", "Gadget", "default", "foreign").await?;
    ensure!(foreign.is_some(), "a foreign object was removed with the CRD");
    Ok(())
}

pub async fn a_namespace_stays_for_foreign_objects_of_any_api_version(
    shared: &Shared,
) -> Result<()> {
    let (name, group) = ("any-version", "any-version.example.com");
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    // The group prefers v1, in which there is no Cog.
    let mut cogs = crd("Cog", group);
    cogs["spec"]["versions"][0] = cogs["spec"]["versions"][1].clone();
    cogs["spec"]["versions"][0]["name"] = json!("v1beta1");
    cogs["spec"]["versions"].as_array_mut().context("no versions")?.truncate(1);
    managed.plane.apply_yaml(&crd("Cam", group).to_string()).await?;
    managed.plane.apply_yaml(&cogs.to_string()).await?;
    let bundle = Bundle::new().namespace(name).config("settings", "1");
    add_on.assign(&spec(name, "1.0.0", &bundle)).await?;
    add_on.until_available("1.0.0").await?;
    let mut foreign = custom_resource("Cog", group, "foreign");
    foreign["apiVersion"] = json!(format!("{group}/v1beta1"));
    foreign["metadata"]["namespace"] = json!(name);
    managed.plane.apply_yaml(&foreign.to_string()).await?;
    add_on.delete().await?;
    add_on.until_gone().await?;
    let foreign = add_on.object(&format!("{group}/v1beta1"), "Cog", name, "foreign").await?;
    let foreign = foreign.context("a foreign object was removed with the namespace")?;
    ensure!(
        foreign.pointer("/metadata/deletionTimestamp").is_none(),
        "a foreign object is being deleted"
    );
    Ok(())
}

pub async fn a_crd_is_removed_together_with_its_objects(shared: &Shared) -> Result<()> {
    let add_on = shared.managed().await?.add_on("customs-gone");
    let bundle = Bundle::new()
        .namespace("customs-gone")
        .object(crd("Widget", "b.example.com"))
        .object(custom_resource("Widget", "b.example.com", "ours"));
    // Nothing writes its status, so it becomes Current when its grace period ends.
    let spec = spec("customs-gone", "1.0.0", &bundle).policy("timeout", "90s");
    add_on.assign(&spec).await?;
    add_on.until_available("1.0.0").await?;
    add_on.delete().await?;
    add_on.until_gone().await?;
    let kind = "CustomResourceDefinition";
    let crd = add_on.object("apiextensions.k8s.io/v1", kind, "", "widgets.b.example.com").await?;
    ensure!(crd.is_none(), "not removed");
    Ok(())
}

/// Returns a webhook without a server. With the failure policy `Fail` it refuses every such object in its namespace.
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

pub async fn a_webhook_that_became_stricter_does_not_block_the_rollback(
    shared: &Shared,
) -> Result<()> {
    let add_on = shared.managed().await?.add_on("hooked");
    let bundle = |value: &str, image, policy| {
        let webhook = webhook("hooked", policy, "", "configmaps");
        Bundle::new()
            .namespace("hooked")
            .config("v", value)
            .deployment("web", image)
            .object(webhook)
    };
    add_on.assign(&spec("hooked", "1.0.0", &bundle("1", READY, "Ignore"))).await?;
    add_on.until_available("1.0.0").await?;
    let bad = spec("hooked", "1.1.0", &bundle("2", NEVER_READY, "Fail"));
    add_on.assign(&bad.policy("timeout", "4s")).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    ensure!(status.current_version.as_deref() == Some("1.0.0"));
    ensure!(add_on.config("hooked", "v").await?.as_deref() == Some("1"));
    let kind = "ValidatingWebhookConfiguration";
    let webhook = add_on.object("admissionregistration.k8s.io/v1", kind, "", "hooked").await?;
    let policy = webhook.and_then(|it| it.pointer("/webhooks/0/failurePolicy").cloned());
    ensure!(policy == Some(json!("Ignore")), "{policy:?}");
    Ok(())
}

pub async fn a_webhook_that_locks_the_agent_out_is_rejected(shared: &Shared) -> Result<()> {
    let add_on = shared.managed().await?.add_on("locked");
    let bundle = Bundle::new().namespace("locked").object(webhook("locked", "Fail", "*", "*"));
    add_on.assign(&spec("locked", "1.0.0", &bundle)).await?;
    let status = add_on.until_phase(Phase::Rejected).await?;
    ensure!(status.reason.as_deref() == Some("InvalidObject"));
    ensure!(status.message.unwrap_or_default().contains("hook.example.com"));
    Ok(())
}

pub async fn a_lost_release_is_retained_again(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let add_on = managed.add_on("unretained");
    let bundle = Bundle::new().namespace("unretained").config("settings", "1");
    add_on.assign(&spec("unretained", "1.0.0", &bundle)).await?;
    add_on.until_available("1.0.0").await?;
    let secrets = "secrets --namespace open-cluster-management-agent-addon \
                   --selector lifecycle.open-cluster-management.io/addon=unretained";
    managed.kubectl(&format!("delete {secrets}")).await?;
    // Any change makes the agent check its releases.
    add_on.annotate("retry", Some("now")).await?;
    until("the release to be retained again", std::time::Duration::from_secs(60), || async {
        let secrets = managed.kubectl(&format!("get {secrets} --output name")).await?;
        if secrets.is_empty() { bail!("none yet") } else { Ok(Some(())) }
    })
    .await?;
    add_on.until_available("1.0.0").await?;
    Ok(())
}
