//! What decides that a version is well, and what that does.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use lifecycle::Phase;
use serde_json::{Value, json};
use testbed::bundle::{Bundle, READY, Spec};
use testbed::wait::until;
use testbed::{AddOn, Managed};

use crate::harness::Bed;
use crate::prerequisites::definition;

const API: &str = "rules.example.com/v1";

/// One custom resource that says which version it was asked for, and a rule that reads what its controller answers.
fn shop(version: &str) -> Spec {
    let shop = json!({
        "apiVersion": API, "kind": "Shop", "metadata": {"name": "main"},
        "spec": {"size": 3, "version": version},
    });
    let bundle = Bundle::new()
        .namespace("ruled")
        .object(definition("Shop", "rules.example.com"))
        .object(shop);
    let rule = json!([{
        "apiVersion": API, "kind": "Shop",
        "failed": "has(object.status.error)",
        "current": "object.status.open == object.spec.size && object.status.version == object.spec.version",
    }]);
    Spec::inline(version, &bundle).namespace("ruled").with("health", rule).policy("timeout", "10m")
}

/// As its controller would.
async fn answers(bed: &Bed, status: Value) -> Result<()> {
    let patch = json!({"status": status});
    let line = "patch shops.rules.example.com main --namespace ruled --type merge --patch";
    bed.managed().await?.kubectl(&format!("{line} {patch}")).await?;
    Ok(())
}

/// The message is in the status while it is waited for.
pub async fn until_it_waits(add_on: &AddOn, word: &str) -> Result<()> {
    add_on
        .until(&format!("to say {word}"), |status| {
            status.phase == Some(Phase::Verifying)
                && status.message.as_deref().unwrap_or_default().contains(word)
        })
        .await?;
    Ok(())
}

pub async fn a_rule_of_its_own_gates_an_upgrade_and_its_failure_goes_back(bed: &Bed) -> Result<()> {
    let add_on = bed.managed().await?.add_on("ruled");
    add_on.assign(&shop("1.0.0")).await?;
    until_it_waits(&add_on, "no such key: status").await?;
    answers(bed, json!({"open": 2, "version": "1.0.0"})).await?;
    until_it_waits(&add_on, "does not evaluate to current yet").await?;
    answers(bed, json!({"open": 3, "version": "1.0.0"})).await?;
    add_on.until_available("1.0.0").await?;

    add_on.assign(&shop("1.1.0")).await?;
    until_it_waits(&add_on, "does not evaluate to current yet").await?;
    answers(bed, json!({"error": "disk-full"})).await?;
    let status = add_on.until_phase(Phase::RollingBack).await?;
    let message = status.message.unwrap_or_default();
    ensure!(message.contains("Shop ruled/main: its health rule evaluates to failed"), "{message}");
    ensure!(!message.contains("disk-full"), "contents are told: {message}");
    // What the failed version left behind fails nothing on the way back; its rule decides there, too.
    until("the old object to be back", Duration::from_secs(60), || async {
        let found = add_on.object(API, "Shop", "ruled", "main").await?;
        match found {
            Some(found) if found["spec"]["version"] == "1.0.0" => Ok(Some(())),
            other => bail!("{other:?}"),
        }
    })
    .await?;
    answers(bed, json!({"error": null, "open": 3, "version": "1.0.0"})).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    ensure!(status.reason.as_deref() == Some("Unhealthy"), "{:?}", status.reason);
    ensure!(status.current_version.as_deref() == Some("1.0.0"));
    Ok(())
}

/// Two pods that want the same port of their node, so each has a node of its own; old and new never side by side.
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

/// The grace is short and a node is cordoned, so it has a cluster of its own.
pub async fn what_was_not_whole_before_an_upgrade_does_not_fail_it(_: &Bed) -> Result<()> {
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

    // The grace of two minutes is longer than the time-out, of which it takes half.
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
