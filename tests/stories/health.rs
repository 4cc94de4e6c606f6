//! Health rules and preexisting failures: how the agent judges a version, and what follows.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use lifecycle::Phase;
use serde_json::{Value, json};
use testbed::bundle::{Bundle, READY, Spec};
use testbed::wait::until;
use testbed::{AddOn, Managed};

use crate::harness::Shared;
use crate::prerequisites::crd;

const API: &str = "rules.example.com/v1";

/// Returns a version with one custom resource, and a health rule that compares its status with its spec.
fn shop(version: &str) -> Spec {
    let shop = json!({
        "apiVersion": API, "kind": "Shop", "metadata": {"name": "main"},
        "spec": {"size": 3, "version": version},
    });
    let bundle =
        Bundle::new().namespace("ruled").object(crd("Shop", "rules.example.com")).object(shop);
    let rule = json!([{
        "apiVersion": API, "kind": "Shop",
        "failed": "has(object.status.error)",
        "current": "object.status.open == object.spec.size && object.status.version == object.spec.version",
    }]);
    Spec::inline(version, &bundle).namespace("ruled").with("health", rule).policy("timeout", "10m")
}

/// Writes the status, as the custom resource's controller would.
async fn set_status(shared: &Shared, status: Value) -> Result<()> {
    let patch = json!({"status": status});
    let line = "patch shops.rules.example.com main --namespace ruled --type merge --patch";
    shared.managed().await?.kubectl(&format!("{line} {patch}")).await?;
    Ok(())
}

/// Waits until the add-on is verifying with this text in its message.
pub async fn until_verifying_with(add_on: &AddOn, word: &str) -> Result<()> {
    add_on
        .until(&format!("to verify with {word:?} in its message"), |status| {
            status.phase == Some(Phase::Verifying)
                && status.message.as_deref().unwrap_or_default().contains(word)
        })
        .await?;
    Ok(())
}

pub async fn a_health_rule_gates_an_upgrade_and_its_failure_rolls_back(
    shared: &Shared,
) -> Result<()> {
    let add_on = shared.managed().await?.add_on("ruled");
    add_on.assign(&shop("1.0.0")).await?;
    until_verifying_with(&add_on, "no such key: status").await?;
    set_status(shared, json!({"open": 2, "version": "1.0.0"})).await?;
    until_verifying_with(&add_on, "does not evaluate to current yet").await?;
    set_status(shared, json!({"open": 3, "version": "1.0.0"})).await?;
    add_on.until_available("1.0.0").await?;

    add_on.assign(&shop("1.1.0")).await?;
    until_verifying_with(&add_on, "does not evaluate to current yet").await?;
    set_status(shared, json!({"error": "disk-full"})).await?;
    let status = add_on.until_phase(Phase::RollingBack).await?;
    let message = status.message.unwrap_or_default();
    ensure!(message.contains("Shop ruled/main: its health rule evaluates to failed"), "{message}");
    ensure!(!message.contains("disk-full"), "the message discloses contents: {message}");
    // The error that the failed version left behind does not fail the rollback, in which the rule decides too.
    until("the old object to be restored", Duration::from_secs(60), || async {
        let object = add_on.object(API, "Shop", "ruled", "main").await?;
        match object {
            Some(object) if object["spec"]["version"] == "1.0.0" => Ok(Some(())),
            other => bail!("{other:?}"),
        }
    })
    .await?;
    set_status(shared, json!({"error": null, "open": 3, "version": "1.0.0"})).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    ensure!(status.reason.as_deref() == Some("Unhealthy"), "{:?}", status.reason);
    ensure!(status.current_version.as_deref() == Some("1.0.0"));
    Ok(())
}

/// Returns a version with two pods that need the same port of their node, so each needs a node of its own. Its old and
/// new pods never run side by side.
fn two_pods(version: &str) -> Spec {
    let pods = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{
            "name": "main", "image": READY, "command": [version], "ports": [{"containerPort": 80, "hostPort": 80}],
        }]},
    });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 2, "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": "web"}}, "template": pods,
        },
    });
    let bundle = Bundle::new().namespace("half").object(deployment);
    Spec::inline(version, &bundle).namespace("half")
}

/// It has a cluster of its own, since it shortens a grace period and cordons a node.
pub async fn a_preexisting_failure_does_not_fail_an_upgrade(_: &Shared) -> Result<()> {
    let managed = Managed::start("half").await?;
    managed.plane.apply_yaml("{apiVersion: v1, kind: Node, metadata: {name: node-1}}").await?;
    managed.kubectl("wait --for=condition=Ready node/node-1 --timeout 60s").await?;
    managed.start_agent(&["--unschedulable-grace", "10s"]).await?;
    let add_on = managed.add_on("half");
    add_on.assign(&two_pods("1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    managed.kubectl("cordon node-1").await?;
    managed.kubectl("delete pods --field-selector spec.nodeName=node-1 --namespace half").await?;
    managed.kubectl("wait --for=jsonpath={.status.availableReplicas}=1 deployment/web --namespace half --timeout 60s").await?;

    // The grace period is cut to half of the time-out.
    add_on.assign(&two_pods("1.1.0")).await?;
    let status = add_on.until_available("1.1.0").await?;
    let message = status.message.unwrap_or_default();
    ensure!(
        message.starts_with("1.1.0 is available; but Deployment half/web: 1 of 2"),
        "{message}"
    );
    ensure!(message.contains("no worse than before"), "{message}");
    Ok(())
}
