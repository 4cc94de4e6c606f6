//! Bundles that do not fit this cluster: kinds, namespaces, foreign objects, permissions.

use anyhow::{Context, Result, ensure};
use lifecycle::Reason;
use serde_json::json;
use testbed::bundle::Spec;

use super::running_add_on::{NEW, RunningAddOn, uid};
use crate::harness::Shared;

pub async fn kinds_that_the_server_does_not_know_are_rejected(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "unknown-kind").await?;
    for (api_version, kind) in [
        ("gadgets.example.com/v1", "Gadget"),
        ("apps/v1", "Gadget"),
        ("apps/v1beta1", "Deployment"),
    ] {
        let object = json!({
            "apiVersion": api_version, "kind": kind, "metadata": {"name": "strange"},
        });
        let spec = Spec::inline(NEW, &running.working_bundle("new").object(object));
        running
            .expect_rejection(&spec, Reason::UnknownKind, &[api_version, kind, "strange"])
            .await?;
    }
    running.upgrade().await
}

pub async fn objects_that_the_server_refuses_are_rejected(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "refused-object").await?;
    let typo = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "typo"}, "daten": {"a": "b"},
    });
    let invalid = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "no-port"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 123_456}]},
    });
    let both = running.working_bundle("new").object(typo).object(invalid);
    // One rejection has all findings.
    let words = ["2 findings", "ConfigMap", "typo", "daten", "Service", "no-port", "123456"];
    running.expect_rejection(&Spec::inline(NEW, &both), Reason::ObjectRefused, &words).await?;
    running.upgrade().await
}

pub async fn a_missing_namespace_rejects_a_version_until_a_retry(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "missing-namespace").await?;
    let elsewhere = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "lost", "namespace": "nowhere"}, "data": {"value": "here"},
    });
    let spec = Spec::inline(NEW, &running.working_bundle("new").object(elsewhere));
    running.expect_rejection(&spec, Reason::NamespaceMissing, &["nowhere/lost"]).await?;
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: nowhere}}";
    running.managed.plane.apply_yaml(namespace).await?;
    running.add_on.annotate("retry", Some("the namespace exists")).await?;
    running.until_running(NEW, "new").await?;
    ensure!(running.add_on.config("nowhere", "lost").await?.as_deref() == Some("here"));
    Ok(())
}

pub async fn an_existing_object_without_an_add_on_is_left_alone(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "unowned").await?;
    let foreign = "{apiVersion: v1, kind: ConfigMap, metadata: {name: foreign, namespace: unowned}, data: {value: foreign}}";
    running.managed.plane.apply_yaml(foreign).await?;
    let before = running.object("v1", "ConfigMap", "foreign").await?;
    let spec = Spec::inline(NEW, &running.working_bundle("new").config("foreign", "ours"));
    let words = ["ConfigMap unowned/foreign", "policy.adopt"];
    running.expect_rejection(&spec, Reason::NotOurs, &words).await?;
    ensure!(running.object("v1", "ConfigMap", "foreign").await? == before);
    running.upgrade().await?;
    ensure!(running.object("v1", "ConfigMap", "foreign").await? == before);
    Ok(())
}

/// It is left alone even if the policy allows adoption.
pub async fn an_object_of_another_add_on_is_left_alone(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "anothers").await?;
    let other = RunningAddOn::start(shared, "the-other").await?;
    let before = other.object("v1", "ConfigMap", "settings").await?;
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "the-other"}, "data": {"value": "ours"},
    });
    let spec =
        Spec::inline(NEW, &running.working_bundle("new").object(object)).policy("adopt", true);
    let words = ["ConfigMap the-other/settings", "add-on the-other's"];
    running.expect_rejection(&spec, Reason::NotOurs, &words).await?;
    ensure!(other.object("v1", "ConfigMap", "settings").await? == before);
    running.upgrade().await?;
    other.ensure_untouched().await
}

/// First the agent may not impersonate the account, then the account has hardly any permissions.
pub async fn missing_permissions_of_an_account_are_named(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "few-rights").await?;
    let plane = &running.managed.plane;
    let user = "system:serviceaccount:few-rights:installer";
    let spec = |setting| {
        let spec = Spec::inline(NEW, &running.working_bundle(setting));
        spec.with("serviceAccountName", json!("installer"))
    };
    let words = ["cannot impersonate", "installer"];
    running.expect_rejection(&spec("new"), Reason::Forbidden, &words).await?;
    plane.apply_yaml(MAY_BE_IMPERSONATED).await?;
    let words = [
        user,
        "may not",
        "get/list/create/patch/delete configmaps in few-rights",
        "deployments.apps",
    ];
    running.expect_rejection(&spec("newer"), Reason::Forbidden, &words).await?;
    plane.apply_yaml(MAY_INSTALL).await?;
    running.add_on.annotate("retry", Some("it has the permissions")).await?;
    running.until_running(NEW, "newer").await?;
    let settings = running.object("v1", "ConfigMap", "settings").await?;
    ensure!(!uid(&settings).is_empty());
    let written = written_by(&running, user)?;
    ensure!(written.contains(&"settings".to_owned()), "{written:?}");
    Ok(())
}

/// Returns the names of the ConfigMaps that this user wrote, from the audit log.
fn written_by(running: &RunningAddOn<'_>, user: &str) -> Result<Vec<String>> {
    let events = running.managed.plane.audit().context("the audit log")?;
    let writes = events.iter().filter(|event| {
        event["impersonatedUser"]["username"] == user
            && event["verb"] == "patch"
            && !event["requestURI"].as_str().unwrap_or_default().contains("dryRun")
            && event["objectRef"]["resource"] == "configmaps"
    });
    let name = |event: &serde_json::Value| event["objectRef"]["name"].as_str().map(str::to_owned);
    Ok(writes.filter_map(name).collect())
}

/// The account, and the permission to impersonate it.
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
