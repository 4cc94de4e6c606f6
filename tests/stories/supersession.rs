//! New assignments while a rollout is in progress.

use anyhow::{Result, ensure};
use lifecycle::{OperationKind, OperationResult, Phase};
use serde_json::json;
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};

use crate::harness::Shared;

fn spec(name: &str, version: &str, image: &str) -> Spec {
    let bundle = Bundle::new().namespace(name).deployment("web", image);
    // Each version has an object of its own, which has to be removed when another version supersedes it.
    let bundle = bundle.config(&format!("only-{version}"), version);
    Spec::inline(version, &bundle).namespace(name)
}

pub async fn a_third_version_supersedes_the_one_in_progress(shared: &Shared) -> Result<()> {
    let add_on = shared.managed().await?.add_on("third");
    add_on.assign(&spec("third", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&spec("third", "1.1.0", NEVER_READY)).await?;
    add_on.until_phase(Phase::Verifying).await?;
    add_on.assign(&spec("third", "1.2.0", READY)).await?;
    let status = add_on.until_available("1.2.0").await?;
    ensure!(status.previous_version.as_deref() == Some("1.0.0"));
    for name in ["only-1.0.0", "only-1.1.0"] {
        ensure!(add_on.config("third", name).await?.is_none(), "{name} was not removed");
    }
    let superseded = status
        .history
        .iter()
        .any(|entry| entry.version.as_deref() == Some("1.1.0") && entry.reason == "Superseded");
    ensure!(superseded, "{:?}", status.history);
    Ok(())
}

pub async fn assigning_the_previous_version_during_an_upgrade_rolls_back_at_once(
    shared: &Shared,
) -> Result<()> {
    let add_on = shared.managed().await?.add_on("return");
    let good = spec("return", "1.0.0", READY);
    add_on.assign(&good).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&spec("return", "1.1.0", NEVER_READY)).await?;
    add_on.until_phase(Phase::Verifying).await?;
    add_on.assign(&good).await?;
    let status = add_on.until_available("1.0.0").await?;
    ensure!(status.operation == Some(OperationKind::Rollback));
    ensure!(status.result == Some(OperationResult::Succeeded));
    ensure!(add_on.image("return", "web").await?.as_deref() == Some(READY));
    ensure!(add_on.config("return", "only-1.1.0").await?.is_none(), "not removed");
    Ok(())
}

pub async fn other_values_are_an_upgrade_and_another_policy_starts_nothing(
    shared: &Shared,
) -> Result<()> {
    let add_on = shared.managed().await?.add_on("values");
    let bundle = Bundle::new().namespace("values").config("region", "in ${REGION}");
    let spec = |region| {
        Spec::inline("1.0.0", &bundle).namespace("values").with("values", json!({"REGION": region}))
    };
    add_on.assign(&spec("eu-1")).await?;
    let first = add_on.until_available("1.0.0").await?;
    ensure!(add_on.config("values", "region").await?.as_deref() == Some("in eu-1"));

    add_on.assign(&spec("eu-1").policy("timeout", "50s")).await?;
    let same = add_on.until("to observe the policy", |_| true).await?;
    ensure!(same.history == first.history && same.phase == Some(Phase::Available));

    add_on.assign(&spec("eu-2")).await?;
    let second = add_on.until("to be upgraded", |status| status.history.len() == 2).await?;
    ensure!(second.operation == Some(OperationKind::Upgrade));
    ensure!(add_on.config("values", "region").await?.as_deref() == Some("in eu-2"));
    Ok(())
}
