//! Bundles that this cluster cannot take: kinds, namespaces, others' objects, rights.

use anyhow::{Context, Result, ensure};
use lifecycle::Reason;
use serde_json::json;
use testbed::bundle::Spec;

use super::running_add_on::{NEW, Running, uid};
use crate::harness::Bed;

pub async fn refuses_kinds_that_the_server_does_not_know(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "unknown-kind").await?;
    for (api_version, kind) in [
        ("gadgets.example.com/v1", "Gadget"),
        ("apps/v1", "Gadget"),
        ("apps/v1beta1", "Deployment"),
    ] {
        let object = json!({
            "apiVersion": api_version, "kind": kind, "metadata": {"name": "strange"},
        });
        let spec = Spec::inline(NEW, &running.good("new").object(object));
        running.refuses(&spec, Reason::UnknownKind, &[api_version, kind, "strange"]).await?;
    }
    running.mended().await
}

pub async fn refuses_objects_that_the_server_refuses(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "refused-object").await?;
    let typo = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "typo"}, "daten": {"a": "b"},
    });
    let invalid = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "no-port"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 123_456}]},
    });
    let both = running.good("new").object(typo).object(invalid);
    // All that is wrong, in one report.
    let words = ["2 findings", "ConfigMap", "typo", "daten", "Service", "no-port", "123456"];
    running.refuses(&Spec::inline(NEW, &both), Reason::ObjectRefused, &words).await?;
    running.mended().await
}

pub async fn waits_for_a_missing_namespace(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "missing-namespace").await?;
    let elsewhere = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "lost", "namespace": "nowhere"}, "data": {"value": "here"},
    });
    let spec = Spec::inline(NEW, &running.good("new").object(elsewhere));
    running.refuses(&spec, Reason::NamespaceMissing, &["nowhere/lost"]).await?;
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: nowhere}}";
    running.managed.plane.apply_yaml(namespace).await?;
    running.add_on.annotate("retry", Some("it is there")).await?;
    running.runs(NEW, "new").await?;
    ensure!(running.add_on.config("nowhere", "lost").await?.as_deref() == Some("here"));
    Ok(())
}

pub async fn leaves_an_object_of_nobody_alone(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "nobodys").await?;
    let theirs = "{apiVersion: v1, kind: ConfigMap, metadata: {name: theirs, namespace: nobodys}, data: {value: theirs}}";
    running.managed.plane.apply_yaml(theirs).await?;
    let before = running.object("v1", "ConfigMap", "theirs").await?;
    let spec = Spec::inline(NEW, &running.good("new").config("theirs", "ours"));
    let words = ["ConfigMap nobodys/theirs", "policy.adopt"];
    running.refuses(&spec, Reason::NotOurs, &words).await?;
    ensure!(running.object("v1", "ConfigMap", "theirs").await? == before);
    running.mended().await?;
    ensure!(running.object("v1", "ConfigMap", "theirs").await? == before);
    Ok(())
}

/// Not even where adopting is allowed.
pub async fn leaves_another_add_ons_object_alone(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "anothers").await?;
    let other = Running::start(bed, "the-other").await?;
    let before = other.object("v1", "ConfigMap", "settings").await?;
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "the-other"}, "data": {"value": "ours"},
    });
    let spec = Spec::inline(NEW, &running.good("new").object(object)).policy("adopt", true);
    let words = ["ConfigMap the-other/settings", "add-on the-other's"];
    running.refuses(&spec, Reason::NotOurs, &words).await?;
    ensure!(other.object("v1", "ConfigMap", "settings").await? == before);
    running.mended().await?;
    other.untouched().await
}

/// First the agent may not be the account at all, then the account may do nearly nothing.
pub async fn says_which_rights_an_account_lacks(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "few-rights").await?;
    let plane = &running.managed.plane;
    let user = "system:serviceaccount:few-rights:installer";
    let spec = |setting| {
        let spec = Spec::inline(NEW, &running.good(setting));
        spec.with("serviceAccountName", json!("installer"))
    };
    let words = ["cannot impersonate", "installer"];
    running.refuses(&spec("new"), Reason::Forbidden, &words).await?;
    plane.apply_yaml(MAY_BE_IMPERSONATED).await?;
    let words = [
        user,
        "may not",
        "get/list/create/patch/delete configmaps in few-rights",
        "deployments.apps",
    ];
    running.refuses(&spec("newer"), Reason::Forbidden, &words).await?;
    plane.apply_yaml(MAY_INSTALL).await?;
    running.add_on.annotate("retry", Some("it has the rights")).await?;
    running.runs(NEW, "newer").await?;
    let settings = running.object("v1", "ConfigMap", "settings").await?;
    ensure!(!uid(&settings).is_empty());
    let wrote = written_by(&running, user)?;
    ensure!(wrote.contains(&"settings".to_owned()), "{wrote:?}");
    Ok(())
}

/// The names of the ConfigMaps that this user wrote, from the audit log.
fn written_by(running: &Running<'_>, user: &str) -> Result<Vec<String>> {
    let events = running.managed.plane.audit().context("the audit log")?;
    let of_user = events.iter().filter(|event| {
        event["impersonatedUser"]["username"] == user
            && event["verb"] == "patch"
            && !event["requestURI"].as_str().unwrap_or_default().contains("dryRun")
            && event["objectRef"]["resource"] == "configmaps"
    });
    let name = |event: &serde_json::Value| event["objectRef"]["name"].as_str().map(str::to_owned);
    Ok(of_user.filter_map(name).collect())
}

/// What a cluster's owner gives for an account of an add-on's own.
const MAY_BE_IMPERSONATED: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: installer, namespace: few-rights}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: agent, namespace: few-rights}
rules:
- {apiGroups: [''], resources: [serviceaccounts], resourceNames: [installer], verbs: [impersonate]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: agent, namespace: few-rights}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: agent}
subjects:
- {kind: ServiceAccount, name: addon-agent, namespace: open-cluster-management-agent-addon}
";

const MAY_INSTALL: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: few-rights-installer}
rules:
- {apiGroups: [''], resources: [namespaces, configmaps], verbs: [get, list, create, patch, delete]}
- {apiGroups: [apps], resources: [deployments], verbs: [get, list, create, patch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: few-rights-installer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: few-rights-installer}
subjects:
- {kind: ServiceAccount, name: installer, namespace: few-rights}
";
