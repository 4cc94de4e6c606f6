//! A release at rest that becomes unhealthy or drifts.

use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use lifecycle::names::{AGENT_LEASE, DEFAULT_NAMESPACE};
use lifecycle::{ManagedAddOnStatus, Phase};
use serde_json::json;
use testbed::Managed;
use testbed::bundle::{Bundle, JOB, READY, Spec};
use testbed::wait::until;

use crate::TIMEOUT;
use crate::harness::Shared;

/// The agent checks each second, and reports a degradation after two.
const WATCH_FLAGS: [&str; 4] = ["--watch-interval", "1s", "--degraded-after", "2s"];

/// Starts a cluster whose agent checks each second.
pub async fn start_watchful(name: &str) -> Result<Managed> {
    let managed = Managed::start(name).await?;
    managed.start_agent(&WATCH_FLAGS).await?;
    Ok(managed)
}

fn spec(version: &str) -> Spec {
    let bundle = Bundle::new().namespace("shop").deployment("web", READY).config("v", version);
    Spec::inline(version, &bundle).namespace("shop")
}

/// Returns `<status> <reason>` of a condition.
pub fn condition(status: &ManagedAddOnStatus, kind: &str) -> String {
    let condition = status.conditions.iter().find(|condition| condition.type_ == kind);
    condition.map_or("absent".to_owned(), |it| format!("{} {}", it.status, it.reason))
}

/// Changes the readiness of the pod, as a probe would.
async fn set_ready(managed: &Managed, ready: bool) -> Result<()> {
    let pods = "get pods --namespace shop --selector app=web --output name";
    let pods = managed.kubectl(pods).await?;
    let pod = pods.lines().next().context("no pod")?.to_owned();
    let ready = if ready { "True" } else { "False" };
    let condition = |kind| json!({"type": kind, "status": ready});
    let conditions = [condition("Ready"), condition("ContainersReady")];
    let patch = json!({"status": {"conditions": conditions}});
    let line = format!("patch {pod} --namespace shop --subresource status --patch {patch}");
    managed.kubectl(&line).await?;
    Ok(())
}

pub async fn an_unhealthy_release_at_rest_is_degraded_and_not_rolled_back(
    _: &Shared,
) -> Result<()> {
    let managed = start_watchful("degraded").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("1.0.0")).await?;
    let before = add_on.until_available("1.0.0").await?;
    ensure!(
        condition(&before, "Degraded").starts_with("False"),
        "{}",
        condition(&before, "Degraded")
    );

    set_ready(&managed, false).await?;
    let is_degraded =
        |status: &ManagedAddOnStatus| condition(status, "Degraded").starts_with("True");
    let degraded = add_on.until("to be Degraded", is_degraded).await?;
    for (kind, expected) in
        [("Degraded", "True RunningUnhealthy"), ("Ready", "False RunningUnhealthy")]
    {
        ensure!(condition(&degraded, kind) == expected, "{kind} {}", condition(&degraded, kind));
    }
    let rest_of = |status: &ManagedAddOnStatus| {
        (
            (status.phase, status.operation, status.result, status.current_version.clone()),
            (status.reason.clone(), status.completion_time.clone(), status.history.len()),
        )
    };
    ensure!(rest_of(&degraded) == rest_of(&before), "more than the conditions changed");
    until_metric(&managed, 1).await?;

    // A restarted agent continues from the conditions.
    managed.kill_agent()?;
    managed.start_agent(&WATCH_FLAGS).await?;
    set_ready(&managed, true).await?;
    let healthy = add_on.until("to be healthy again", |status| !is_degraded(status)).await?;
    ensure!(
        condition(&healthy, "Ready").starts_with("True") && rest_of(&healthy) == rest_of(&before)
    );
    let events = "get events.events.k8s.io --all-namespaces --field-selector";
    let selector = "reason=RunningUnhealthy,regarding.name=shop --output yaml";
    let events = managed.kubectl(&format!("{events} {selector}")).await?;
    let both = ["action: Degraded", "action: Recovered"].iter().all(|it| events.contains(it));
    ensure!(both, "{events}");

    // During a rollout the new version is judged instead.
    set_ready(&managed, false).await?;
    add_on.until("to be Degraded again", is_degraded).await?;
    until_metric(&managed, 1).await?;
    add_on.assign(&spec("1.1.0")).await?;
    add_on.until_phase(Phase::Verifying).await?;
    until_metric(&managed, 0).await?;
    set_ready(&managed, true).await?;
    add_on.until_available("1.1.0").await?;
    Ok(())
}

async fn until_metric(managed: &Managed, degraded: u8) -> Result<()> {
    let line = format!("addon_agent_degraded{{addon=\"shop\"}} {degraded}\n");
    until("the metric to follow", TIMEOUT, || async {
        Ok(managed.metrics().await?.contains(&line).then_some(()))
    })
    .await
}

pub async fn a_version_that_becomes_unhealthy_in_its_soak_is_rolled_back(_: &Shared) -> Result<()> {
    let managed = start_watchful("soak").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&spec("1.1.0").policy("soak", "1h")).await?;
    add_on
        .until("to soak", |status| {
            status.message.as_deref().is_some_and(|message| message.starts_with("healthy; "))
        })
        .await?;
    add_on.assign(&spec("1.1.0").policy("timeout", "3s").policy("soak", "1h")).await?;
    set_ready(&managed, false).await?;
    let status = add_on.until_phase(Phase::RollingBack).await?;
    ensure!(status.reason.as_deref() == Some("TimedOut"), "{:?}", status.reason);
    set_ready(&managed, true).await?;
    // The soak of a rollback follows the current policy.
    add_on.assign(&spec("1.1.0")).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    ensure!(status.current_version.as_deref() == Some("1.0.0"));
    Ok(())
}

pub async fn drift_and_foreign_fields_are_shown_in_a_condition(_: &Shared) -> Result<()> {
    let managed = start_watchful("drifted").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    let until_drifted = |expected: &'static str| {
        let add_on = &add_on;
        async move {
            let is_reached = |status: &ManagedAddOnStatus| condition(status, "Drifted") == expected;
            add_on.until(&format!("to be Drifted {expected}"), is_reached).await
        }
    };
    until_drifted("False InSync").await?;
    let patch = "patch configmap v --namespace shop --type merge --patch";
    managed.kubectl(&format!("{patch} {}", json!({"data": {"value": "foreign"}}))).await?;
    let repaired = until_drifted("False Repaired").await?;
    let condition = repaired.conditions.iter().find(|condition| condition.type_ == "Drifted");
    let message = condition.map(|condition| condition.message.clone()).unwrap_or_default();
    ensure!(message.ends_with(": ConfigMap shop/v"), "{message}");

    // Fields that other managers add stay, and the condition names both.
    let added =
        json!({"data": {"added": "secret"}, "metadata": {"annotations": {"example.com/a": "b"}}});
    managed.kubectl(&format!("{patch} {added} --field-manager somebody")).await?;
    let status = until_drifted("False ForeignFields").await?;
    let condition = status.conditions.iter().find(|condition| condition.type_ == "Drifted");
    let message = condition.map(|condition| condition.message.clone()).unwrap_or_default();
    let expected = "set by other managers and left unchanged: ConfigMap shop/v: data.added, metadata.annotations.example.com/a by somebody";
    ensure!(message == expected, "{message}");
    let config = managed.kubectl("get configmap v --namespace shop --output yaml").await?;
    ensure!(config.contains("added: secret"), "{config}");
    let removed =
        json!({"data": {"added": null}, "metadata": {"annotations": {"example.com/a": null}}});
    managed.kubectl(&format!("{patch} {removed} --field-manager somebody")).await?;
    until_drifted("False InSync").await?;

    // An object that belongs to another add-on now is not repaired, as long as there is such an add-on.
    let another = Bundle::new().namespace("another");
    let another = Spec::inline("1.0.0", &another).namespace("another");
    managed.add_on("another").assign(&another).await?;
    let other_owner = json!({"metadata": {"labels": {
        "lifecycle.open-cluster-management.io/addon": "another",
    }}});
    managed.kubectl(&format!("{patch} {other_owner}")).await?;
    let status = until_drifted("True RepairFailed").await?;
    ensure!(status.phase == Some(Phase::Available) && status.history.len() == 1);
    Ok(())
}

/// Returns the number of requests for one Deployment, and for a list of them.
async fn deployment_requests(managed: &Managed) -> Result<[f64; 3]> {
    let metrics = managed.kubectl("get --raw /metrics").await?;
    let count = |verb: &str| {
        let label = format!("verb=\"{verb}\"");
        let lines = metrics.lines().filter(|line| line.starts_with("apiserver_request_total{"));
        let lines = lines.filter(|line| line.contains("resource=\"deployments\""));
        let counts = lines.filter(|line| line.contains(&label)).filter_map(|line| {
            line.rsplit_once(' ').and_then(|(_, count)| count.parse::<f64>().ok())
        });
        counts.sum::<f64>()
    };
    Ok([count("GET"), count("LIST"), count("APPLY")])
}

pub async fn a_short_loss_of_the_lease_writes_nothing_again(_: &Shared) -> Result<()> {
    let managed = start_watchful("forgetful").await?;
    let add_on = managed.add_on("shop");
    let bundle = Bundle::new().namespace("shop").deployment("web", READY);
    add_on.assign(&Spec::inline("1.0.0", &bundle).namespace("shop")).await?;
    add_on.until_available("1.0.0").await?;
    let written = until_only_lists(&managed).await?;
    ensure!(written > 0.0, "the API server counts no server-side apply");
    let lease = format!("lease {AGENT_LEASE} --namespace {DEFAULT_NAMESPACE}");
    let holder = r#"--type merge --patch {"spec":{"holderIdentity":"somebody"}}"#;
    managed.kubectl(&format!("patch {lease} {holder}")).await?;
    managed.until_unready("another agent, somebody", TIMEOUT).await?;
    managed.until_ready(TIMEOUT).await?;
    until_lists(&managed, 4.0).await?;
    ensure!(deployment_requests(&managed).await?[2] == written, "objects were written again");
    Ok(())
}

/// Waits until the deployments were listed four times without a write. Returns how often they were written before.
async fn until_only_lists(managed: &Managed) -> Result<f64> {
    let since = Mutex::new(deployment_requests(managed).await?);
    until("four lists without a write", TIMEOUT, || async {
        let now = deployment_requests(managed).await?;
        let mut since = since.lock().expect("nobody panics");
        if since[2] != now[2] {
            *since = now;
        }
        Ok((now[1] - since[1] >= 4.0).then_some(now[2]))
    })
    .await
}

/// Waits until the agent has listed the deployments so often from now on.
pub async fn until_lists(managed: &Managed, count: f64) -> Result<()> {
    let [_, before, _] = deployment_requests(managed).await?;
    until("the agent to list deployments", TIMEOUT, || async {
        let [_, now, _] = deployment_requests(managed).await?;
        Ok((now - before >= count).then_some(()))
    })
    .await
}

pub async fn while_nothing_changes_the_agent_only_lists(_: &Shared) -> Result<()> {
    let managed = start_watchful("quiet").await?;
    let add_on = managed.add_on("shop");
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "main", "image": JOB}],
        }}},
    });
    let bundle = Bundle::new().namespace("shop").deployment("web", READY).object(job);
    add_on.assign(&Spec::inline("1.0.0", &bundle).namespace("shop")).await?;
    add_on.until_available("1.0.0").await?;
    let since = Mutex::new(deployment_requests(&managed).await?);
    until("four lists without a read", TIMEOUT, || async {
        let now = deployment_requests(&managed).await?;
        let mut since = since.lock().expect("nobody panics");
        if since[0] != now[0] {
            *since = now;
        }
        Ok((now[1] - since[1] >= 4.0).then_some(()))
    })
    .await
}
