//! Permissions that are revoked during a rollout and granted again, and credentials that change while the agent runs.

use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use lifecycle::{OperationKind, Phase};
use testbed::bundle::{NEVER_READY, READY};
use testbed::wait::until;
use testbed::webhook::Webhook;
use testbed::{AddOn, Hub, Managed};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::{is_write_of, rollbacks, spec};
use crate::TIMEOUT;
use crate::harness::Shared;

/// The command that revokes the permissions of the account.
const REVOKE: &str = "delete clusterrolebinding addon-installer";
const AGENT_RBAC: &str = include_str!("../../../manifests/agent/rbac.yaml");
const NAMESPACE: &str = "open-cluster-management-agent-addon";

async fn until_forbidden(add_on: &AddOn) -> Result<()> {
    until("the status to name the missing permission", TIMEOUT, || async {
        let message = add_on.status().await?.message.unwrap_or_default();
        if message.contains("forbidden") { Ok(Some(())) } else { bail!("{message}") }
    })
    .await
}

pub async fn permissions_that_are_revoked_and_granted_again_lose_nothing(_: &Shared) -> Result<()> {
    let managed = Managed::start_with_agent("rights").await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("shop", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;

    // During a rollback.
    let bad = spec("shop", "1.1.0", NEVER_READY).policy("timeout", "3s");
    add_on.assign(&bad.clone().policy("soak", "10m")).await?;
    add_on.until_phase(Phase::RollingBack).await?;
    managed.kubectl(REVOKE).await?;
    until_forbidden(&add_on).await?;
    managed.grant_rights().await?;
    add_on.assign(&bad).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    ensure!(rollbacks(&status) == 1, "{:?}", status.history);
    ensure!(add_on.config("shop", "v").await?.as_deref() == Some("1.0.0"));

    // During verification.
    add_on.assign(&spec("shop", "1.2.0", READY).policy("soak", "10m")).await?;
    add_on.until_phase(Phase::Verifying).await?;
    managed.kubectl(REVOKE).await?;
    until_forbidden(&add_on).await?;
    managed.grant_rights().await?;
    add_on.assign(&spec("shop", "1.2.0", READY)).await?;
    add_on.until_available("1.2.0").await?;

    // The agent's own permissions.
    add_on.assign(&spec("shop", "1.3.0", READY).policy("soak", "10m")).await?;
    add_on.until_phase(Phase::Verifying).await?;
    managed.kubectl("delete clusterrolebinding addon-agent").await?;
    until("the agent to log it", TIMEOUT, || async {
        Ok(managed.agent_log().contains("could not use the API server").then_some(()))
    })
    .await?;
    managed.plane.apply_yaml(AGENT_RBAC).await?;
    add_on.assign(&spec("shop", "1.3.0", READY)).await?;
    let status = add_on.until_available("1.3.0").await?;
    ensure!(rollbacks(&status) == 1, "{:?}", status.history);
    Ok(())
}

/// The account loses its permissions in the middle of an apply. Once they are granted again, the rollback completes.
pub async fn permissions_that_are_revoked_during_an_apply_lead_to_a_rollback(
    _: &Shared,
) -> Result<()> {
    let managed = Arc::new(Managed::start_with_agent("half-rights").await?);
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("shop", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    let weak = Arc::downgrade(&managed);
    let webhook = Webhook::start(move |request| {
        if let Some(managed) = weak.upgrade().filter(|_| is_write_of(request, "1.1.0")) {
            block_in_place(|| Handle::current().block_on(managed.kubectl(REVOKE))).ok();
        }
        true
    });
    let webhook = webhook.await?;
    webhook.watch(&managed.plane, "shop").await?;
    add_on.assign(&spec("shop", "1.1.0", READY)).await?;
    add_on.until_phase(Phase::RollingBack).await?;
    until_forbidden(&add_on).await?;
    managed.grant_rights().await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    let failed = status.history.iter().find(|it| it.operation == OperationKind::Upgrade);
    ensure!(failed.is_some_and(|it| it.reason == "Forbidden"), "{:?}", status.history);
    ensure!(rollbacks(&status) == 1, "{:?}", status.history);
    ensure!(add_on.config("shop", "v").await?.as_deref() == Some("1.0.0"));
    Ok(())
}

/// Creates a token that is valid as long as the Secret to which it is bound.
async fn create_token(managed: &Managed, secret: &str) -> Result<String> {
    managed.kubectl(&format!("create secret generic {secret} --namespace {NAMESPACE}")).await?;
    let bound = format!("--bound-object-kind Secret --bound-object-name {secret}");
    let create = format!("create token addon-agent --namespace {NAMESPACE} {bound}");
    Ok(managed.kubectl(&create).await?.trim().to_owned())
}

pub async fn a_renewed_token_is_used_during_a_rollout(_: &Shared) -> Result<()> {
    let mut managed = Managed::start("tokens").await?;
    let file = managed.plane.write("token", &create_token(&managed, "first").await?)?;
    managed.use_token(&file)?;
    managed.start_agent(&[]).await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&spec("shop", "1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&spec("shop", "1.1.0", READY).policy("soak", "10s")).await?;
    add_on.until_phase(Phase::Verifying).await?;
    fs::write(&file, create_token(&managed, "second").await?)?;
    managed.kubectl(&format!("delete secret first --namespace {NAMESPACE}")).await?;
    add_on.until_available("1.1.0").await?;
    // The first token is refused by this time.
    add_on.assign(&spec("shop", "1.2.0", READY)).await?;
    let status = add_on.until_available("1.2.0").await?;
    ensure!(rollbacks(&status) == 0, "{:?}", status.history);
    Ok(())
}

pub async fn hub_credentials_that_become_unusable_do_not_interrupt_the_connection(
    _: &Shared,
) -> Result<()> {
    let (hub, managed) =
        tokio::try_join!(Hub::start("broken-hub", "edge"), Managed::start("broken"))?;
    let good = fs::read(hub.kubeconfig()?)?;
    let file = hub.plane.write("hub.kubeconfig", &String::from_utf8_lossy(&good))?;
    let path = file.to_string_lossy();
    managed.start_agent(&["--hub-kubeconfig", &path, "--cluster-name", "edge"]).await?;
    let add_on = managed.add_on("shop");
    let assign = async |version: &str| {
        hub.template("shop", &format!("shop-{version}"), &spec("shop", version, READY)).await?;
        hub.assign("shop", &format!("shop-{version}")).await?;
        add_on.until_available(version).await.map(drop)
    };
    assign("1.0.0").await?;

    // With an incomplete file the existing connection continues.
    fs::write(&file, &good[..good.len() / 2])?;
    until("the agent to reject an incomplete file", TIMEOUT, || async {
        Ok(managed.agent_log().contains("cannot use the hub's kubeconfig").then_some(()))
    })
    .await?;
    assign("1.1.0").await.context("with half a kubeconfig")?;
    fs::remove_file(&file)?;
    assign("1.2.0").await.context("without a kubeconfig")?;
    // Another certificate for the same identity.
    fs::copy(hub.kubeconfig()?, &file)?;
    assign("1.3.0").await.context("with a new certificate")
}
