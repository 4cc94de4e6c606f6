//! The main task: install, upgrade, and automatic rollback.

use anyhow::{Context, Result, ensure};
use lifecycle::{OperationKind, OperationResult, Phase};
use serde_json::json;
use testbed::bundle::{Bundle, JOB, NEVER_READY, READY, Spec};

use crate::harness::Shared;

pub async fn an_add_on_is_installed_upgraded_and_pruned(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let add_on = managed.add_on("upgrades");
    let old = Bundle::new()
        .namespace("upgrades")
        .config("settings", "old")
        .config("dropped", "old")
        .deployment("web", READY);
    let new =
        Bundle::new().namespace("upgrades").config("settings", "new").deployment("web", READY);

    add_on.assign(&Spec::inline("1.4.0", &old).namespace("upgrades")).await?;
    let status = add_on.until_available("1.4.0").await?;
    ensure!(status.operation == Some(OperationKind::Install));
    ensure!(status.result == Some(OperationResult::Succeeded));
    let (started, completed) = (status.started_time, status.completion_time);
    ensure!(completed.context("no completion")?.0 >= started.context("no start")?.0);
    ensure!(add_on.config("upgrades", "dropped").await?.is_some());

    add_on.assign(&Spec::inline("1.5.0", &new).namespace("upgrades")).await?;
    let status = add_on.until_available("1.5.0").await?;
    ensure!(status.operation == Some(OperationKind::Upgrade));
    ensure!(status.previous_version.as_deref() == Some("1.4.0"));
    ensure!(add_on.config("upgrades", "settings").await?.as_deref() == Some("new"));
    ensure!(add_on.config("upgrades", "dropped").await?.is_none(), "not pruned");
    Ok(())
}

pub async fn a_version_that_never_becomes_ready_is_rolled_back(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let add_on = managed.add_on("rollback");
    let bundle = |image| Bundle::new().namespace("rollback").deployment("web", image);
    let good = Spec::inline("1.5.0", &bundle(READY)).namespace("rollback");
    let bad = Spec::inline("1.6.0", &bundle(NEVER_READY).config("extra", "new"));
    let bad = bad.namespace("rollback").policy("timeout", "4s");

    add_on.assign(&good).await?;
    add_on.until_available("1.5.0").await?;
    add_on.assign(&bad).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    ensure!(status.operation == Some(OperationKind::Rollback));
    ensure!(status.result == Some(OperationResult::Succeeded));
    ensure!(status.current_version.as_deref() == Some("1.5.0"));
    ensure!(status.desired_version.as_deref() == Some("1.6.0"));
    ensure!(status.reason.as_deref() == Some("TimedOut"), "{:?}", status.reason);
    ensure!(add_on.image("rollback", "web").await?.as_deref() == Some(READY));
    ensure!(add_on.config("rollback", "extra").await?.is_none(), "not removed");
    Ok(())
}

pub async fn a_failed_first_install_removes_its_objects(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let add_on = managed.add_on("first");
    let bundle = Bundle::new().namespace("first").config("a", "1").deployment("web", NEVER_READY);
    let spec = Spec::inline("1.0.0", &bundle).namespace("first").policy("timeout", "3s");
    add_on.assign(&spec).await?;
    let status = add_on.until_phase(Phase::Failed).await?;
    ensure!(status.operation == Some(OperationKind::Install));
    ensure!(status.result == Some(OperationResult::Failed));
    ensure!(status.completion_time.is_some() && status.current_version.is_none());
    ensure!(status.message.unwrap_or_default().contains("Deployment first/web"));
    ensure!(add_on.config("first", "a").await?.is_none(), "not removed");
    ensure!(add_on.image("first", "web").await?.is_none(), "not removed");
    Ok(())
}

pub async fn a_failing_add_on_does_not_delay_another(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let (bad, good) = (managed.add_on("slow"), managed.add_on("quick"));
    let spec = |name: &str, image| {
        let bundle = Bundle::new().namespace(name).deployment("web", image);
        Spec::inline("1.0.0", &bundle).namespace(name)
    };
    bad.assign(&spec("slow", NEVER_READY).policy("timeout", "10m")).await?;
    bad.until_phase(Phase::Verifying).await?;
    good.assign(&spec("quick", READY)).await?;
    good.until_available("1.0.0").await?;
    ensure!(bad.status().await?.phase == Some(Phase::Verifying));
    Ok(())
}

pub async fn a_job_runs_once_and_not_again_in_a_rollback(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let add_on = managed.add_on("jobs");
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "main", "image": JOB}],
        }}},
    });
    let good = Bundle::new().namespace("jobs").object(job).deployment("web", READY);
    let bad = Bundle::new().namespace("jobs").deployment("web", NEVER_READY);
    let spec = |version, bundle| Spec::inline(version, bundle).namespace("jobs");
    add_on.assign(&spec("1.0.0", &good)).await?;
    add_on.until_available("1.0.0").await?;
    ensure!(add_on.object("batch/v1", "Job", "jobs", "migrate").await?.is_some());
    managed.kubectl("delete job migrate --namespace jobs").await?;

    add_on.assign(&spec("1.1.0", &bad).policy("timeout", "3s")).await?;
    add_on.until_phase(Phase::RolledBack).await?;
    ensure!(
        add_on.object("batch/v1", "Job", "jobs", "migrate").await?.is_none(),
        "the Job ran again"
    );
    Ok(())
}

pub async fn a_finished_and_deleted_job_is_not_run_again_by_the_next_version(
    shared: &Shared,
) -> Result<()> {
    let managed = shared.managed().await?;
    let add_on = managed.add_on("ran");
    let spec = |version, command: &str| {
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"},
            "spec": {"template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "main", "image": JOB, "command": [command]}],
            }}},
        });
        let bundle = Bundle::new().namespace("ran").object(job).config("settings", version);
        Spec::inline(version, &bundle).namespace("ran")
    };
    add_on.assign(&spec("1.0.0", "one")).await?;
    add_on.until_available("1.0.0").await?;
    managed.kubectl("delete job migrate --namespace ran").await?;
    add_on.assign(&spec("1.1.0", "one")).await?;
    add_on.until_available("1.1.0").await?;
    ensure!(
        add_on.object("batch/v1", "Job", "ran", "migrate").await?.is_none(),
        "the Job ran again"
    );
    add_on.assign(&spec("1.2.0", "two")).await?;
    add_on.until_available("1.2.0").await?;
    ensure!(
        add_on.object("batch/v1", "Job", "ran", "migrate").await?.is_some(),
        "a changed Job did not run"
    );
    Ok(())
}

pub async fn custom_resources_are_installed_together_with_their_crd(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let add_on = managed.add_on("customs");
    let backend = json!({
        "apiVersion": "stories.example.com/v1", "kind": "Backend",
        "metadata": {"name": "main"}, "spec": {"size": 1},
    });
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "backends.stories.example.com"},
        "spec": {
            "group": "stories.example.com", "scope": "Namespaced",
            "names": {"kind": "Backend", "plural": "backends"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }},
            }}],
        },
    });
    // In the wrong order, which waves correct.
    let bundle = Bundle::new().object(backend).object(crd).namespace("customs");
    let spec = Spec::inline("1.0.0", &bundle).namespace("customs");
    add_on.assign(&spec).await?;
    add_on.until_phase(Phase::Verifying).await?;
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let patch = "patch backends.stories.example.com main --namespace customs --type merge";
    managed.kubectl(&format!("{patch} --patch {status}")).await?;
    add_on.until_available("1.0.0").await?;
    Ok(())
}
