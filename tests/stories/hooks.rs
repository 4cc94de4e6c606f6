//! Jobs that are run at a moment of a rollout: before its first write, and to verify what it came to.

use anyhow::{Result, ensure};
use lifecycle::{ManagedAddOnStatus, Phase, Reason};
use serde_json::{Value, json};
use testbed::bundle::{Bundle, JOB, NEVER_READY, Spec};
use testbed::summarize;

use crate::bad_input::running_add_on::{NEW, OLD, Running, good, uid};
use crate::evidence::kept;
use crate::harness::Bed;

fn hook(name: &str, hook: &str, image: &str) -> Value {
    // What never ends by itself is ended by its deadline.
    let deadline = if image == JOB { 60 } else { 1 };
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": name,
            "annotations": {"lifecycle.open-cluster-management.io/hook": hook},
        },
        "spec": {
            "activeDeadlineSeconds": deadline, "ttlSecondsAfterFinished": 0,
            "template": {"spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "main", "image": image}],
            }},
        },
    })
}

fn operation(job: &Value) -> &str {
    let name = "/metadata/annotations/lifecycle.open-cluster-management.io~1operation";
    let mark = job.pointer(name).and_then(Value::as_str).unwrap_or_default();
    mark.split('-').next().unwrap_or_default()
}

pub async fn what_verifies_runs_once_an_operation_and_its_failure_goes_back(
    bed: &Bed,
) -> Result<()> {
    let name = "verified";
    let bundle = |setting, image| good(name, setting).object(hook("smoke", "verify", image));
    let running = Running::with(bed, name, bundle("old", JOB)).await?;
    let first = running.object("batch/v1", "Job", "smoke").await?;
    ensure!(operation(&first) == "1", "{first:#}");

    let broken = Spec::inline(NEW, &bundle("new", NEVER_READY)).policy("timeout", "10m");
    let words = ["rolled back to 1.4.0", "Job verified/smoke: job failed"];
    running.goes_back_from(&broken, Reason::Unhealthy, &words).await?;
    // Run by the upgrade, and not again by the way back.
    let failed = running.object("batch/v1", "Job", "smoke").await?;
    ensure!(uid(&failed) != uid(&first) && operation(&failed) == "2", "{failed:#}");

    running.goes_on_to(&Spec::inline(NEW, &bundle("new", JOB)), "new").await?;
    let again = running.object("batch/v1", "Job", "smoke").await?;
    ensure!(uid(&again) != uid(&failed) && operation(&again) == "4", "{again:#}");
    // Asked for, the way back runs none either.
    running.goes_on_to(&Spec::inline(OLD, &bundle("old", JOB)), "old").await?;
    ensure!(uid(&running.object("batch/v1", "Job", "smoke").await?) == uid(&again));
    Ok(())
}

pub async fn what_prepares_an_upgrade_refuses_it_when_it_fails(bed: &Bed) -> Result<()> {
    let name = "prepared";
    let running = Running::start(bed, name).await?;
    let bundle = |image| good(name, "new").object(hook("dump", "pre-upgrade", image));
    let words = ["a pre-upgrade hook failed", "Job prepared/dump"];
    let failing = Spec::inline(NEW, &bundle(NEVER_READY));
    running.refuses(&failing, Reason::HookFailed, &words).await?;
    let named = |status: &ManagedAddOnStatus| status.history[0].evidence.is_some();
    running.add_on.until("to have kept evidence", named).await?;
    let text = kept(&running.add_on).await?;
    for part in ["version: 1.5.0", "reason: HookFailed", "Job prepared/dump: Failed", "event "] {
        ensure!(text.contains(part), "{part} is not in\n{text}");
    }
    ensure!(!text.contains("NotFound"), "what was not written is not missing:\n{text}");
    running.goes_on_to(&Spec::inline(NEW, &bundle(JOB)), "new").await?;
    let dump = running.object("batch/v1", "Job", "dump").await?;
    ensure!(operation(&dump) == "3", "{dump:#}");
    // It goes with the release that brought it.
    running.goes_on_to(&Spec::inline("1.6.0", &running.good("newer")), "newer").await?;
    let left = running.add_on.object("batch/v1", "Job", name, "dump").await?;
    ensure!(left.is_none_or(|job| job["metadata"].get("deletionTimestamp").is_some()));
    Ok(())
}

pub async fn an_install_is_verified_and_not_prepared(bed: &Bed) -> Result<()> {
    let add_on = bed.managed().await?.add_on("unprepared");
    let bundle = |image| {
        Bundle::new()
            .namespace("unprepared")
            .object(hook("dump", "pre-upgrade", NEVER_READY))
            .object(hook("smoke", "verify", image))
    };
    let spec = |version, image| Spec::inline(version, &bundle(image)).namespace("unprepared");
    add_on.assign(&spec("1.0.0", NEVER_READY).policy("timeout", "10m")).await?;
    let status = add_on.until_phase(Phase::Failed).await?;
    ensure!(status.reason.as_deref() == Some("Unhealthy"), "{}", summarize(&status));
    add_on.assign(&spec("1.0.1", JOB)).await?;
    add_on.until_available("1.0.1").await?;
    ensure!(add_on.object("batch/v1", "Job", "unprepared", "dump").await?.is_none());
    Ok(())
}
