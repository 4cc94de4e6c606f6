//! What runs changes, or stops being well.

use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use lifecycle::{ManagedAddOnStatus, Phase};
use serde_json::json;
use testbed::Managed;
use testbed::bundle::{Bundle, JOB, READY, Spec};
use testbed::wait::until;

use crate::LONG;
use crate::harness::Bed;

const WATCHFUL: [&str; 4] = ["--watch-interval", "1s", "--degraded-after", "2s"];

/// An agent that looks every second and tells after two.
pub async fn watchful(name: &str) -> Result<Managed> {
    let managed = Managed::start(name).await?;
    managed.start_agent(&WATCHFUL).await?;
    Ok(managed)
}

fn spec(version: &str) -> Spec {
    let bundle = Bundle::new().namespace("shop").deployment("web", READY).config("v", version);
    Spec::inline(version, &bundle).namespace("shop")
}

/// `<status> <reason>` of a condition.
pub fn shown(status: &ManagedAddOnStatus, kind: &str) -> String {
    let condition = status.conditions.iter().find(|condition| condition.type_ == kind);
    condition.map_or("absent".to_owned(), |it| format!("{} {}", it.status, it.reason))
}

/// As a probe would that fails, or succeeds again.
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

pub async fn what_stops_being_well_is_degraded_and_nothing_else(_: &Bed) -> Result<()> {
    let managed = watchful("degraded").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("1.0.0")).await?;
    let before = add_on.until_available("1.0.0").await?;
    ensure!(shown(&before, "Degraded").starts_with("False"), "{}", shown(&before, "Degraded"));

    set_ready(&managed, false).await?;
    let unhealthy = |status: &ManagedAddOnStatus| shown(status, "Degraded").starts_with("True");
    let told = add_on.until("to be Degraded", unhealthy).await?;
    for (kind, expected) in
        [("Degraded", "True RunningUnhealthy"), ("Ready", "False RunningUnhealthy")]
    {
        ensure!(shown(&told, kind) == expected, "{kind} {}", shown(&told, kind));
    }
    let same = |status: &ManagedAddOnStatus| {
        (
            (status.phase, status.operation, status.result, status.current_version.clone()),
            (status.reason.clone(), status.completion_time.clone(), status.history.len()),
        )
    };
    ensure!(same(&told) == same(&before), "it changed more than conditions");
    until_metric(&managed, 1).await?;

    // An agent that was started again goes on from what was told.
    managed.kill_agent()?;
    managed.start_agent(&WATCHFUL).await?;
    set_ready(&managed, true).await?;
    let well = add_on.until("to be well again", |status| !unhealthy(status)).await?;
    ensure!(shown(&well, "Ready").starts_with("True") && same(&well) == same(&before));
    let events = "get events.events.k8s.io --all-namespaces --field-selector";
    let about = "reason=RunningUnhealthy,regarding.name=shop --output yaml";
    let events = managed.kubectl(&format!("{events} {about}")).await?;
    let both = ["action: Degraded", "action: Recovered"].iter().all(|it| events.contains(it));
    ensure!(both, "{events}");

    // In a rollout it is the new version that is judged.
    set_ready(&managed, false).await?;
    add_on.until("to be Degraded again", unhealthy).await?;
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
    until("the metric to say so", LONG, || async {
        Ok(managed.metrics().await?.contains(&line).then_some(()))
    })
    .await
}

pub async fn what_stops_being_well_in_the_soak_is_rolled_back(_: &Bed) -> Result<()> {
    let managed = watchful("soak").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&spec("1.1.0").policy("soak", "1h")).await?;
    add_on
        .until("to be watched", |status| {
            status.message.as_deref().is_some_and(|message| message.starts_with("healthy; "))
        })
        .await?;
    add_on.assign(&spec("1.1.0").policy("timeout", "3s").policy("soak", "1h")).await?;
    set_ready(&managed, false).await?;
    let status = add_on.until_phase(Phase::RollingBack).await?;
    ensure!(status.reason.as_deref() == Some("TimedOut"), "{:?}", status.reason);
    set_ready(&managed, true).await?;
    // The soak of the way back is the present policy's.
    add_on.assign(&spec("1.1.0")).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    ensure!(status.current_version.as_deref() == Some("1.0.0"));
    Ok(())
}

pub async fn what_others_change_is_shown(_: &Bed) -> Result<()> {
    let managed = watchful("drifted").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    let drifted = |expected: &'static str| {
        let add_on = &add_on;
        async move {
            let is = |status: &ManagedAddOnStatus| shown(status, "Drifted") == expected;
            add_on.until(&format!("to be Drifted {expected}"), is).await
        }
    };
    drifted("False InSync").await?;
    let patch = "patch configmap v --namespace shop --type merge --patch";
    managed.kubectl(&format!("{patch} {}", json!({"data": {"value": "theirs"}}))).await?;
    let mended = drifted("False Repaired").await?;
    let condition = mended.conditions.iter().find(|condition| condition.type_ == "Drifted");
    let message = condition.map(|condition| condition.message.clone()).unwrap_or_default();
    ensure!(message.ends_with(": ConfigMap shop/v"), "{message}");

    // What others add stays, and is told with who did it.
    let added =
        json!({"data": {"added": "secret"}, "metadata": {"annotations": {"example.com/a": "b"}}});
    managed.kubectl(&format!("{patch} {added} --field-manager somebody")).await?;
    let told = drifted("False ForeignFields").await?;
    let condition = told.conditions.iter().find(|condition| condition.type_ == "Drifted");
    let message = condition.map(|condition| condition.message.clone()).unwrap_or_default();
    let expected = "set by other managers and left unchanged: ConfigMap shop/v: data.added, metadata.annotations.example.com/a by somebody";
    ensure!(message == expected, "{message}");
    let config = managed.kubectl("get configmap v --namespace shop --output yaml").await?;
    ensure!(config.contains("added: secret"), "{config}");
    let none =
        json!({"data": {"added": null}, "metadata": {"annotations": {"example.com/a": null}}});
    managed.kubectl(&format!("{patch} {none} --field-manager somebody")).await?;
    drifted("False InSync").await?;

    // What is another add-on's now is not taken from it.
    let theirs = json!({"metadata": {"labels": {
        "lifecycle.open-cluster-management.io/addon": "another",
    }}});
    managed.kubectl(&format!("{patch} {theirs}")).await?;
    let status = drifted("True RepairFailed").await?;
    ensure!(status.phase == Some(Phase::Available) && status.history.len() == 1);
    Ok(())
}

/// How often the API server was asked for a Deployment, and for a list of them.
async fn asked(managed: &Managed) -> Result<[f64; 2]> {
    let metrics = managed.kubectl("get --raw /metrics").await?;
    let about = |verb: &str| {
        let of_verb = format!("verb=\"{verb}\"");
        let lines = metrics.lines().filter(|line| line.starts_with("apiserver_request_total{"));
        let lines = lines.filter(|line| line.contains("resource=\"deployments\""));
        let counts = lines.filter(|line| line.contains(&of_verb)).filter_map(|line| {
            line.rsplit_once(' ').and_then(|(_, count)| count.parse::<f64>().ok())
        });
        counts.sum::<f64>()
    };
    Ok([about("GET"), about("LIST")])
}

pub async fn while_nothing_changes_no_whole_object_is_read(_: &Bed) -> Result<()> {
    let managed = watchful("quiet").await?;
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
    let since = Mutex::new(asked(&managed).await?);
    until("looks that only list", LONG, || async {
        let now = asked(&managed).await?;
        let mut since = since.lock().expect("nobody panics");
        if since[0] != now[0] {
            *since = now;
        }
        Ok((now[1] - since[1] >= 4.0).then_some(()))
    })
    .await
}
