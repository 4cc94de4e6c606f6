//! Hooks: Jobs that run at a moment of a rollout, before its first write or for its verification.

use anyhow::{Result, ensure};
use lifecycle::{ManagedAddOnStatus, Phase, Reason};
use serde_json::{Value, json};
use testbed::bundle::{Bundle, JOB, NEVER_READY, Spec};
use testbed::summarize;

use crate::bad_input::running_add_on::{NEW, OLD, RunningAddOn, uid, working_bundle};
use crate::evidence::evidence_text;
use crate::harness::Shared;

fn hook(name: &str, hook: &str, image: &str) -> Value {
    // A Job that never ends by itself ends at its deadline.
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

/// Returns the number of the operation that ran a Job.
fn operation(job: &Value) -> &str {
    let name = "/metadata/annotations/lifecycle.open-cluster-management.io~1operation";
    let operation = job.pointer(name).and_then(Value::as_str).unwrap_or_default();
    operation.split('-').next().unwrap_or_default()
}

pub async fn a_verify_hook_runs_once_per_operation_and_its_failure_rolls_back(
    shared: &Shared,
) -> Result<()> {
    let name = "verified";
    let bundle =
        |setting, image| working_bundle(name, setting).object(hook("smoke", "verify", image));
    let running = RunningAddOn::with(shared, name, bundle("old", JOB)).await?;
    let first = running.object("batch/v1", "Job", "smoke").await?;
    ensure!(operation(&first) == "1", "{first:#}");

    let broken = Spec::inline(NEW, &bundle("new", NEVER_READY)).policy("timeout", "10m");
    let words = ["rolled back to 1.4.0", "Job verified/smoke: job failed"];
    running.expect_rollback(&broken, Reason::Unhealthy, &words).await?;
    // The upgrade ran it, and the rollback did not.
    let failed = running.object("batch/v1", "Job", "smoke").await?;
    ensure!(uid(&failed) != uid(&first) && operation(&failed) == "2", "{failed:#}");

    running.upgrade_to(&Spec::inline(NEW, &bundle("new", JOB)), "new").await?;
    let again = running.object("batch/v1", "Job", "smoke").await?;
    ensure!(uid(&again) != uid(&failed) && operation(&again) == "4", "{again:#}");
    // A requested rollback does not run it either.
    running.upgrade_to(&Spec::inline(OLD, &bundle("old", JOB)), "old").await?;
    ensure!(uid(&running.object("batch/v1", "Job", "smoke").await?) == uid(&again));
    Ok(())
}

pub async fn a_failed_pre_upgrade_hook_rejects_the_upgrade(shared: &Shared) -> Result<()> {
    let name = "prepared";
    let running = RunningAddOn::start(shared, name).await?;
    let bundle = |image| working_bundle(name, "new").object(hook("dump", "pre-upgrade", image));
    let words = ["a pre-upgrade hook failed", "Job prepared/dump"];
    let failing = Spec::inline(NEW, &bundle(NEVER_READY));
    running.expect_rejection(&failing, Reason::HookFailed, &words).await?;
    let has_evidence = |status: &ManagedAddOnStatus| status.history[0].evidence.is_some();
    running.add_on.until("to have evidence", has_evidence).await?;
    let text = evidence_text(&running.add_on).await?;
    for part in ["version: 1.5.0", "reason: HookFailed", "Job prepared/dump: Failed", "event "] {
        ensure!(text.contains(part), "{part} is not in\n{text}");
    }
    ensure!(
        !text.contains("NotFound"),
        "objects that were not written are reported as missing:\n{text}"
    );
    running.upgrade_to(&Spec::inline(NEW, &bundle(JOB)), "new").await?;
    let dump = running.object("batch/v1", "Job", "dump").await?;
    ensure!(operation(&dump) == "3", "{dump:#}");
    // The next release does not have it, so it is removed.
    running.upgrade_to(&Spec::inline("1.6.0", &running.working_bundle("newer")), "newer").await?;
    let job = running.add_on.object("batch/v1", "Job", name, "dump").await?;
    ensure!(job.is_none_or(|job| job["metadata"].get("deletionTimestamp").is_some()));
    Ok(())
}

pub async fn an_install_runs_verify_hooks_but_no_pre_upgrade_hooks(shared: &Shared) -> Result<()> {
    let add_on = shared.managed().await?.add_on("unprepared");
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
