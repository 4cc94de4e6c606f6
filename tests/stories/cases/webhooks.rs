//! Webhooks of an add-on that stand in its own way.

use anyhow::{Context, Result, bail, ensure};
use lifecycle::Phase;
use serde_json::{Value, json};
use testbed::bundle::{Bundle, JOB, NEVER_READY, READY, workload};
use testbed::wait::until;
use testbed::webhook::Webhook;
use testbed::{AddOn, Managed};

use super::adoption::write_ca_bundle;
use super::{failing, spec};
use crate::TIMEOUT;
use crate::harness::Shared;

const ADMISSION: &str = "admissionregistration.k8s.io/v1";

/// Returns a webhook for one resource of this namespace, which nothing answers for.
pub fn silent(name: &str, group: &str, resource: &str, policy: &str) -> Value {
    json!({
        "apiVersion": ADMISSION, "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [{
            "name": "check.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 1, "failurePolicy": policy,
            "clientConfig": {"service": {"namespace": name, "name": "nowhere", "path": "/check"}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
            "rules": [{
                "apiGroups": [group], "apiVersions": ["v1"], "resources": [resource],
                "operations": ["CREATE", "UPDATE"],
            }],
        }],
    })
}

pub async fn configuration(add_on: &AddOn, name: &str) -> Result<Value> {
    let found = add_on.object(ADMISSION, "ValidatingWebhookConfiguration", "", name).await?;
    found.context("no webhook configuration")
}

/// Waits until this create is refused by a webhook. The API server learns of a configuration a moment later.
async fn until_refused(managed: &Managed, create: &str) -> Result<()> {
    until("the webhook to be called", TIMEOUT, || async {
        match managed.kubectl(&format!("create {create} --dry-run=server")).await {
            Err(error) if error.to_string().contains("webhook") => Ok(Some(())),
            outcome => bail!("{outcome:?}"),
        }
    })
    .await
}

/// The next version is the repair and gets in. The broken add-on can be uninstalled, too.
pub async fn a_silent_webhook_keeps_out_neither_its_repair_nor_its_removal(
    shared: &Shared,
) -> Result<()> {
    let managed = shared.managed().await?;
    let bundle = |name: &str, value: &str, policy: &str| {
        let webhook = silent(name, "", "configmaps", policy);
        let bundle = Bundle::new().namespace(name).config("settings", value);
        bundle.deployment("web", READY).object(webhook)
    };
    for name in ["silent-repaired", "silent-removed"] {
        let add_on = managed.add_on(name);
        add_on.assign(&spec(name, "1.0.0", &bundle(name, "info", "Fail"))).await?;
        add_on.until_available("1.0.0").await?;
        until_refused(managed, &format!("configmap any --namespace {name}")).await?;
    }
    let (repaired, removed) = (managed.add_on("silent-repaired"), managed.add_on("silent-removed"));
    repaired
        .assign(&spec(&repaired.name, "2.0.0", &bundle(&repaired.name, "debug", "Ignore")))
        .await?;
    repaired.until_available("2.0.0").await?;
    ensure!(repaired.config(&repaired.name, "settings").await?.as_deref() == Some("debug"));
    removed.delete().await?;
    removed.until_gone().await?;
    ensure!(configuration(&removed, &removed.name).await.is_err(), "the webhook was left");
    ensure!(removed.object("v1", "Namespace", "", &removed.name).await?.is_none(), "left");
    Ok(())
}

/// The server stops while the broken version is watched. The way back is complete, and the webhook is closed again.
pub async fn a_webhook_that_stops_answering_keeps_out_no_way_back(shared: &Shared) -> Result<()> {
    let name = "stopped-server";
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    let server = Webhook::start(|_| true).await?;
    let webhook = server.configuration(name);
    let bundle = |value: &str, image: &str| {
        let bundle = Bundle::new().namespace(name).config("settings", value);
        bundle.deployment("web", image).object(webhook.clone())
    };
    add_on.assign(&spec(name, "1.0.0", &bundle("info", READY))).await?;
    add_on.until_available("1.0.0").await?;
    let broken = spec(name, "1.1.0", &bundle("debug", NEVER_READY)).policy("timeout", "20s");
    add_on.assign(&broken).await?;
    add_on.until_phase(Phase::Verifying).await?;
    drop(server);
    until_refused(managed, &format!("configmap any --namespace {name}")).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() != Some("RollbackIncomplete"), "{message}");
    ensure!(add_on.config(name, "settings").await?.as_deref() == Some("info"));
    ensure!(add_on.image(name, "web").await?.as_deref() == Some(READY));
    let living = configuration(&add_on, &format!("watches-{name}")).await?;
    ensure!(living["webhooks"][0]["failurePolicy"] == "Fail", "{living}");
    Ok(())
}

/// A Job of the bundle wrote the CA bundle. It is there after a broken version, and after a rollback that was requested.
pub async fn the_ca_bundle_of_a_job_survives_every_way_back(shared: &Shared) -> Result<()> {
    let name = "job-ca";
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    let bundle = |version: &str, image: &str| {
        let mut webhook = silent(name, "networking.k8s.io", "ingresses", "Fail");
        webhook["metadata"]["labels"] = json!({"app.kubernetes.io/version": version});
        let pods =
            json!({"restartPolicy": "Never", "containers": [{"name": "main", "image": JOB}]});
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "patch-ca"},
            "spec": {"template": {"spec": pods}},
        });
        Bundle::new().namespace(name).object(job).deployment("hook", image).object(webhook)
    };
    let ca_bundle = async || {
        let living = configuration(&add_on, name).await?;
        anyhow::Ok(living.pointer("/webhooks/0/clientConfig/caBundle").cloned().unwrap_or_default())
    };
    add_on.assign(&spec(name, "1.0.0", &bundle("1.0.0", READY))).await?;
    add_on.until_available("1.0.0").await?;
    let written = write_ca_bundle(managed, name).await?;
    add_on.assign(&failing(name, "1.1.0", &bundle("1.1.0", NEVER_READY))).await?;
    add_on.until_phase(Phase::RolledBack).await?;
    ensure!(ca_bundle().await? == written, "lost with the broken version");
    let living = configuration(&add_on, name).await?;
    let version = &living["metadata"]["labels"]["app.kubernetes.io/version"];
    ensure!(version == "1.0.0", "{version}");
    for version in ["1.2.0", "1.0.0"] {
        add_on.assign(&spec(name, version, &bundle(version, READY))).await?;
        add_on.until_available(version).await?;
        ensure!(ca_bundle().await? == written, "lost with {version}");
    }
    Ok(())
}

/// It judges the Deployment behind itself. The next version gets in, and a broken one is gone back from.
pub async fn a_silent_webhook_on_deployments_keeps_out_no_version(shared: &Shared) -> Result<()> {
    let name = "silent-on-deployments";
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    let bundle = |image: &str| {
        let webhook = silent(name, "apps", "deployments", "Fail");
        let mut hook = workload("Deployment", "hook", image);
        hook["metadata"]["namespace"] = json!(name);
        Bundle::new().namespace(name).object(hook).object(webhook)
    };
    let second = "registry.example.com/ready:2";
    add_on.assign(&spec(name, "1.0.0", &bundle(READY))).await?;
    add_on.until_available("1.0.0").await?;
    let create = format!("deployment any --image {READY} --namespace {name}");
    until_refused(managed, &create).await?;
    add_on.assign(&spec(name, "1.1.0", &bundle(second))).await?;
    add_on.until_available("1.1.0").await?;
    ensure!(add_on.image(name, "hook").await?.as_deref() == Some(second));
    until_refused(managed, &create).await?;
    add_on.assign(&failing(name, "1.2.0", &bundle(NEVER_READY))).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() != Some("RollbackIncomplete"), "{message}");
    ensure!(add_on.image(name, "hook").await?.as_deref() == Some(second));
    // The repair closes it again.
    until_refused(managed, &create).await
}
