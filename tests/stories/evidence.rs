//! The evidence of a failure.

use anyhow::{Context, Result, ensure};
use lifecycle::Phase;
use serde_json::{Value, json};
use testbed::bundle::{Bundle, MISSING, NEVER_READY, READY, Spec};
use testbed::wait::until;
use testbed::{AddOn, Managed};

use crate::TIMEOUT;
use crate::harness::Shared;
use crate::health::until_verifying_with;

const NAMESPACE: &str = "open-cluster-management-agent-addon";

/// Returns the evidence to which the newest failed operation in the history refers.
pub async fn evidence_text(add_on: &AddOn) -> Result<String> {
    let history = add_on.status().await?.history;
    let name = history.iter().find_map(|entry| entry.evidence.clone()).context("no evidence")?;
    let map = add_on.object("v1", "ConfigMap", NAMESPACE, &name).await?.context("no ConfigMap")?;
    let text = map.pointer("/data/evidence.txt").and_then(Value::as_str);
    Ok(text.context("no text")?.to_owned())
}

/// Returns the names of all evidence of an add-on.
async fn evidence_names(managed: &Managed, add_on: &str) -> Result<Vec<String>> {
    let selector = format!(
        "lifecycle.open-cluster-management.io/addon={add_on},lifecycle.open-cluster-management.io/evidence"
    );
    let maps =
        format!("get configmaps --namespace {NAMESPACE} --selector {selector} --output name");
    Ok(managed.kubectl(&maps).await?.lines().map(str::to_owned).collect())
}

pub async fn evidence_of_a_failure_is_recorded_before_the_rollback(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let add_on = managed.add_on("evidence");
    let spec = |version, image| {
        let bundle = Bundle::new().namespace("evidence").deployment("web", image);
        Spec::inline(version, &bundle).namespace("evidence")
    };
    let bad = |version, image| spec(version, image).policy("timeout", "3s");
    add_on.assign(&spec("1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    // The version fails once all of the evidence exists.
    add_on.assign(&spec("1.1.0", MISSING)).await?;
    until_verifying_with(&add_on, "ImagePullBackOff").await?;
    add_on.assign(&bad("1.1.0", MISSING)).await?;
    add_on.until_phase(Phase::RolledBack).await?;
    let text = evidence_text(&add_on).await?;
    for part in [
        "version: 1.1.0",
        "Deployment evidence/web: InProgress: ",
        "ScalingReplicaSet",
        "container main: waiting ImagePullBackOff: Back-off pulling image",
        // No kubelet of the test bed serves logs, and that delays nothing.
        "could not read the log of main",
    ] {
        ensure!(text.contains(part), "{part} is not in\n{text}");
    }
    // The evidence of the newest three failures is kept.
    for version in ["1.2.0", "1.3.0", "1.4.0"] {
        add_on.assign(&bad(version, NEVER_READY)).await?;
        add_on
            .until("to be rolled back", |status| {
                status.phase == Some(Phase::RolledBack)
                    && status.desired_version.as_deref() == Some(version)
            })
            .await?;
    }
    let names = evidence_names(managed, "evidence").await?;
    ensure!(names.len() == 3, "{names:?}");
    ensure!(evidence_text(&add_on).await?.starts_with("version: 1.4.0"));
    add_on.delete().await?;
    add_on.until_gone().await?;
    ensure!(evidence_names(managed, "evidence").await?.is_empty(), "not removed");
    Ok(())
}

pub async fn evidence_names_what_the_agent_may_not_read(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let add_on = managed.add_on("unlogged");
    managed.kubectl("create namespace unlogged").await?;
    managed.kubectl("create serviceaccount narrow --namespace unlogged").await?;
    let verbs = "--verb=get,list,create,patch,delete,watch";
    for line in [
        &format!(
            "create role narrow --namespace unlogged {verbs} --resource=deployments.apps,pods"
        ),
        "create rolebinding narrow --namespace unlogged --role=narrow --serviceaccount=unlogged:narrow",
        "create role impersonate --namespace unlogged --verb=impersonate --resource=serviceaccounts --resource-name=narrow",
        "create rolebinding impersonate --namespace unlogged --role=impersonate --serviceaccount=open-cluster-management-agent-addon:addon-agent",
    ] {
        managed.kubectl(line).await?;
    }
    let bundle = Bundle::new().deployment("web", NEVER_READY);
    let spec = Spec::inline("1.0.0", &bundle).namespace("unlogged");
    let spec = spec.with("serviceAccountName", json!("narrow"));
    add_on.assign(&spec).await?;
    // The version fails once there is a log.
    let names = "get pods --namespace unlogged --output jsonpath={.items[*].status.containerStatuses[*].name}";
    until("its container to run", TIMEOUT, || async {
        Ok((managed.kubectl(names).await? == "main").then_some(()))
    })
    .await?;
    add_on.assign(&spec.policy("timeout", "3s")).await?;
    add_on.until_phase(Phase::Failed).await?;
    let text = evidence_text(&add_on).await?;
    for part in ["could not read the log of main", "could not read the events of web", "pods/log"] {
        ensure!(text.contains(part), "{part} is not in\n{text}");
    }
    Ok(())
}
