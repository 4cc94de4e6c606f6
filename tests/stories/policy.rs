//! Decisions of the owner: pause, retry, hold, and a rollback on request.

use anyhow::{Result, ensure};
use lifecycle::{OperationKind, OperationResult, Phase};
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};

use crate::harness::Shared;
use crate::health::until_verifying_with;

fn spec(name: &str, version: &str, image: &str) -> Spec {
    let bundle = Bundle::new().namespace(name).deployment("web", image).config("v", version);
    Spec::inline(version, &bundle).namespace(name)
}

pub async fn a_paused_add_on_starts_a_new_version_only_after_the_pause(
    shared: &Shared,
) -> Result<()> {
    let add_on = shared.managed().await?.add_on("paused");
    add_on.assign(&spec("paused", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    add_on.annotate("paused", Some("true")).await?;
    add_on.assign(&spec("paused", "1.1.0", READY)).await?;
    let status = add_on.until_phase(Phase::Waiting).await?;
    ensure!(status.reason.as_deref() == Some("Paused"));
    ensure!(add_on.config("paused", "v").await?.as_deref() == Some("1.0.0"));
    add_on.annotate("paused", None).await?;
    add_on.until_available("1.1.0").await?;
    Ok(())
}

pub async fn a_failed_version_is_retried_only_on_request(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let add_on = managed.add_on("retried");
    add_on.assign(&spec("retried", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    // The namespace may have one pod only, so the second version cannot become ready next to the first.
    managed.kubectl("create quota few --hard=pods=1 --namespace retried").await?;
    managed.kubectl("wait --for=jsonpath={.status.used.pods}=1 quota/few --namespace retried --timeout=120s").await?;
    let pods =
        Bundle::new().namespace("retried").deployment("web", READY).deployment("more", READY);
    let two = Spec::inline("1.1.0", &pods).namespace("retried");
    add_on.assign(&two).await?;
    until_verifying_with(&add_on, "exceeded quota").await?;
    add_on.assign(&two.clone().policy("timeout", "3s")).await?;
    let failed = add_on.until_phase(Phase::RolledBack).await?;
    ensure!(
        failed.message.unwrap_or_default().contains("exceeded quota"),
        "the quota is not named"
    );
    managed.kubectl("delete quota few --namespace retried").await?;

    add_on.assign(&two).await?;
    let status = add_on.until("to observe the policy", |_| true).await?;
    ensure!(status.phase == Some(Phase::RolledBack), "retried without a request");
    add_on.annotate("retry", Some("the quota is gone")).await?;
    add_on.until_available("1.1.0").await?;
    Ok(())
}

pub async fn on_failure_hold_leaves_the_failed_version_in_place(shared: &Shared) -> Result<()> {
    let add_on = shared.managed().await?.add_on("held");
    add_on.assign(&spec("held", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    let bad = spec("held", "1.1.0", NEVER_READY).policy("timeout", "3s");
    add_on.assign(&bad.policy("onFailure", "Hold")).await?;
    let status = add_on.until_phase(Phase::Failed).await?;
    ensure!(status.operation == Some(OperationKind::Upgrade));
    ensure!(status.current_version.as_deref() == Some("1.0.0"));
    ensure!(add_on.image("held", "web").await?.as_deref() == Some(NEVER_READY));
    add_on.assign(&spec("held", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    ensure!(add_on.image("held", "web").await?.as_deref() == Some(READY));
    Ok(())
}

pub async fn a_requested_rollback_goes_to_the_previous_version(shared: &Shared) -> Result<()> {
    let add_on = shared.managed().await?.add_on("requested");
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        add_on.assign(&spec("requested", version, READY)).await?;
        add_on.until_available(version).await?;
    }
    add_on.assign(&spec("requested", "1.0.0", READY)).await?;
    let status = add_on.until_phase(Phase::Rejected).await?;
    ensure!(status.reason.as_deref() == Some("DowngradeNotAllowed"));
    ensure!(add_on.config("requested", "v").await?.as_deref() == Some("1.2.0"));

    add_on.assign(&spec("requested", "1.1.0", READY)).await?;
    let status = add_on.until_available("1.1.0").await?;
    ensure!(status.operation == Some(OperationKind::Rollback));
    ensure!(status.result == Some(OperationResult::Succeeded));
    ensure!(status.previous_version.as_deref() == Some("1.2.0"));
    Ok(())
}
