//! Webhooks and policies that an add-on brings along, and that refuse its own objects.

use anyhow::{Context, Result, ensure};
use lifecycle::Phase;
use serde_json::{Value, json};
use testbed::AddOn;
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};
use testbed::webhook::Webhook;

use crate::harness::Shared;
use crate::prerequisites::crd;

const ADMISSION: &str = "admissionregistration.k8s.io/v1";

fn spec(name: &str, version: &str, bundle: &Bundle) -> Spec {
    Spec::inline(version, bundle).namespace(name)
}

/// Returns a webhook that no pod answers for. It leaves the failure policy to the API server, unless one is given.
fn silent(name: &str, group: &str, resource: &str, policy: Option<&str>) -> Value {
    let mut configuration = json!({
        "apiVersion": ADMISSION, "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [{
            "name": "check.example.com", "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "timeoutSeconds": 1,
            "clientConfig": {"service": {"namespace": name, "name": "nowhere"}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
            "rules": [{
                "apiGroups": [group], "apiVersions": ["v1"], "resources": [resource],
                "operations": ["CREATE", "UPDATE"],
            }],
        }],
    });
    if let Some(policy) = policy {
        configuration["webhooks"][0]["failurePolicy"] = json!(policy);
    }
    configuration
}

async fn configuration(add_on: &AddOn, name: &str) -> Result<Value> {
    let found = add_on.object(ADMISSION, "ValidatingWebhookConfiguration", "", name).await?;
    found.context("no webhook configuration")
}

async fn ensure_policy(add_on: &AddOn, name: &str, expected: &str) -> Result<()> {
    let configuration = configuration(add_on, name).await?;
    let policy = &configuration["webhooks"][0]["failurePolicy"];
    ensure!(policy == expected, "{policy}");
    Ok(())
}

pub async fn a_webhook_that_does_not_answer_is_repaired_by_the_next_version(
    shared: &Shared,
) -> Result<()> {
    let name = "silent";
    let add_on = shared.managed().await?.add_on(name);
    let bundle = |value: &str, policy| {
        let webhook = silent(name, "", "configmaps", policy);
        Bundle::new().namespace(name).config("v", value).deployment("web", READY).object(webhook)
    };
    add_on.assign(&spec(name, "1.0.0", &bundle("1", None))).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&spec(name, "2.0.0", &bundle("2", Some("Ignore")))).await?;
    add_on.until_available("2.0.0").await?;
    ensure!(add_on.config(name, "v").await?.as_deref() == Some("2"));
    ensure_policy(&add_on, name, "Ignore").await
}

pub async fn a_version_whose_webhook_does_not_answer_is_gone_back_from(
    shared: &Shared,
) -> Result<()> {
    let name = "silent-deployments";
    let add_on = shared.managed().await?.add_on(name);
    let bundle = |value: &str| {
        let mut web = testbed::bundle::workload("Deployment", "web", READY);
        web["metadata"]["annotations"] = json!({"example.com/value": value});
        let webhook = silent(name, "apps", "deployments", None);
        Bundle::new().namespace(name).config("v", value).object(web).object(webhook)
    };
    for version in ["1.0.0", "1.1.0", "1.0.0"] {
        add_on.assign(&spec(name, version, &bundle(version))).await?;
        add_on.until_available(version).await?;
        ensure!(add_on.config(name, "v").await?.as_deref() == Some(version));
        ensure_policy(&add_on, name, "Fail").await?;
    }
    Ok(())
}

pub async fn a_webhook_that_stops_answering_does_not_block_the_rollback(
    shared: &Shared,
) -> Result<()> {
    let name = "stopped";
    let add_on = shared.managed().await?.add_on(name);
    let server = Webhook::start(|_| true).await?;
    let registration = server.configuration(name);
    let bundle = |value: &str, image| {
        let bundle = Bundle::new().namespace(name).config("v", value).deployment("web", image);
        bundle.object(registration.clone())
    };
    add_on.assign(&spec(name, "1.0.0", &bundle("1", READY))).await?;
    add_on.until_available("1.0.0").await?;
    let bad = spec(name, "1.1.0", &bundle("2", NEVER_READY)).policy("timeout", "8s");
    add_on.assign(&bad).await?;
    add_on.until_phase(Phase::Verifying).await?;
    drop(server);
    add_on.until_phase(Phase::RolledBack).await?;
    ensure!(add_on.config(name, "v").await?.as_deref() == Some("1"));
    ensure_policy(&add_on, &format!("watches-{name}"), "Fail").await
}

pub async fn a_rollback_keeps_what_others_wrote_into_a_webhook(shared: &Shared) -> Result<()> {
    let name = "injected";
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    let bundle = |version: &str, image| {
        let mut webhook = silent(name, "networking.k8s.io", "ingresses", None);
        webhook["metadata"]["labels"] = json!({"app.kubernetes.io/version": version});
        Bundle::new().namespace(name).deployment("web", image).object(webhook)
    };
    add_on.assign(&spec(name, "1.0.0", &bundle("1.0.0", READY))).await?;
    add_on.until_available("1.0.0").await?;
    let server = Webhook::start(|_| true).await?;
    let path = "/webhooks/0/clientConfig/caBundle";
    let certificate =
        server.configuration(name).pointer(path).cloned().context("no certificate")?;
    let patch = json!([{"op": "add", "path": path, "value": certificate}]);
    let patched =
        format!("patch validatingwebhookconfiguration {name} --type=json --patch={patch}");
    managed.kubectl(&patched).await?;
    let uid = configuration(&add_on, name).await?["metadata"]["uid"].clone();

    let bad = spec(name, "1.1.0", &bundle("1.1.0", NEVER_READY)).policy("timeout", "4s");
    add_on.assign(&bad).await?;
    add_on.until_phase(Phase::RolledBack).await?;
    for version in ["1.2.0", "1.0.0"] {
        let living = configuration(&add_on, name).await?;
        ensure!(living.pointer(path) == Some(&certificate), "before {version}: {living}");
        ensure!(living["metadata"]["uid"] == uid, "it was recreated before {version}");
        add_on.assign(&spec(name, version, &bundle(version, READY))).await?;
        add_on.until_available(version).await?;
    }
    let living = configuration(&add_on, name).await?;
    ensure!(living.pointer(path) == Some(&certificate), "{living}");
    ensure!(living["metadata"]["uid"] == uid);
    Ok(())
}

/// Returns a policy and its binding that refuse the definition as version 1 has it.
fn no_older_definitions(bundle: Bundle) -> Bundle {
    let name = "no-older-lamps.example.com";
    let rule = json!({
        "apiGroups": ["apiextensions.k8s.io"], "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"], "resources": ["customresourcedefinitions"],
    });
    let expression = "object.spec.group != 'lamps.example.com' \
                      || object.metadata.annotations['example.com/bundle'] != 'v1'";
    let policy = json!({
        "apiVersion": ADMISSION, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": expression, "message": "too old"}],
        },
    });
    let binding = json!({
        "apiVersion": ADMISSION, "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    });
    bundle.object(policy).object(binding)
}

pub async fn a_policy_that_refuses_the_old_version_does_not_block_the_rollback(
    shared: &Shared,
) -> Result<()> {
    let name = "stricter";
    let add_on = shared.managed().await?.add_on(name);
    let bundle = |form: &str, image| {
        let mut lamp = crd("Lamp", "lamps.example.com");
        lamp["metadata"]["annotations"] = json!({"example.com/bundle": form});
        Bundle::new().namespace(name).object(lamp).deployment("web", image)
    };
    let form = async || {
        let kind = "CustomResourceDefinition";
        let api_version = "apiextensions.k8s.io/v1";
        let lamp = add_on.object(api_version, kind, "", "lamps.lamps.example.com").await?;
        let lamp = lamp.context("no definition")?;
        anyhow::Ok(lamp["metadata"]["annotations"]["example.com/bundle"].clone())
    };
    add_on.assign(&spec(name, "1.0.0", &bundle("v1", READY))).await?;
    add_on.until_available("1.0.0").await?;
    let bad = spec(name, "1.1.0", &no_older_definitions(bundle("v2", NEVER_READY)));
    add_on.assign(&bad.policy("timeout", "4s")).await?;
    add_on.until_phase(Phase::RolledBack).await?;
    ensure!(form().await? == "v1");

    let good = no_older_definitions(bundle("v2", READY));
    add_on.assign(&spec(name, "1.2.0", &good)).await?;
    add_on.until_available("1.2.0").await?;
    add_on.assign(&spec(name, "1.0.0", &bundle("v1", READY))).await?;
    add_on.until_available("1.0.0").await?;
    ensure!(form().await? == "v1");
    Ok(())
}
