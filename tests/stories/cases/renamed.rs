//! An add-on that is renamed or split.

use anyhow::{Context, Result, ensure};
use lifecycle::{Phase, Reason};
use serde_json::json;
use testbed::bundle::{Bundle, Spec};

use crate::harness::Shared;

/// What a deleted add-on left behind is taken over under another name, once that is allowed, and not before.
pub async fn the_claim_of_a_deleted_add_on_can_be_adopted(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let (old, new) = (managed.add_on("renamed-old"), managed.add_on("renamed-new"));
    managed.kubectl("create namespace renamed").await?;
    managed.plane.apply_yaml(&super::volume("renamed").to_string()).await?;
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": "renamed",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    });
    let bundle = Bundle::new().object(claim).config("settings", "1");
    let spec = || Spec::inline("1.0.0", &bundle).namespace("renamed");
    old.assign(&spec()).await?;
    old.until_available("1.0.0").await?;
    let uid = || async {
        let claim = old.object("v1", "PersistentVolumeClaim", "renamed", "data").await?;
        anyhow::Ok(claim.context("no claim")?["metadata"]["uid"].clone())
    };
    let before = uid().await?;
    // The old add-on still runs.
    new.assign(&spec().policy("adopt", true)).await?;
    let status = new.until_phase(Phase::Rejected).await?;
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() == Some(Reason::NotOurs.name()), "{message}");
    ensure!(message.contains("is add-on renamed-old's"), "{message}");
    old.delete().await?;
    old.until_gone().await?;
    new.assign(&spec().policy("adopt", false)).await?;
    let is_advised = |message: &str| {
        message.contains("does not exist any more; policy.adopt would take it over")
    };
    new.until("to be rejected with advice", |status| {
        status.phase == Some(Phase::Rejected) && status.message.as_deref().is_some_and(is_advised)
    })
    .await?;
    new.assign(&spec().policy("adopt", true)).await?;
    new.until_available("1.0.0").await?;
    ensure!(uid().await? == before, "the claim is another one");
    Ok(())
}
