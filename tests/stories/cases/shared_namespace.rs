//! A namespace in which two add-ons are.

use anyhow::{Result, ensure};
use lifecycle::{Phase, Reason};
use testbed::bundle::Bundle;

use super::spec;
use crate::harness::Shared;

/// One add-on has the Namespace in its bundle, the other uses it. It stays until the last of them is gone.
pub async fn one_add_on_has_the_namespace_and_the_other_uses_it(shared: &Shared) -> Result<()> {
    let name = "for-both";
    let managed = shared.managed().await?;
    let (owner, user) = (managed.add_on("for-both-owner"), managed.add_on("for-both-user"));
    owner.assign(&spec(name, "1.0.0", &Bundle::new().namespace(name).config("one", "1"))).await?;
    owner.until_available("1.0.0").await?;
    let own = Bundle::new().config("two", "2");
    user.assign(&spec(name, "1.0.0", &own.clone().namespace(name))).await?;
    let status = user.until_phase(Phase::Rejected).await?;
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() == Some(Reason::NotOurs.name()), "{message}");
    ensure!(message.contains("for-both-owner"), "{message}");
    user.assign(&spec(name, "1.0.1", &own)).await?;
    user.until_available("1.0.1").await?;
    owner.delete().await?;
    owner.until_gone().await?;
    ensure!(owner.config(name, "one").await?.is_none(), "the owner's object was left");
    ensure!(user.config(name, "two").await?.as_deref() == Some("2"), "the user's object went");
    Ok(())
}
