//! What people edit by hand.

use anyhow::{Result, bail};
use testbed::bundle::{Bundle, READY};
use testbed::wait::until;

use super::spec;
use crate::TIMEOUT;
use crate::at_rest::condition;
use crate::harness::Shared;

/// Somebody deletes the namespace of an add-on at rest. Everything in it is there again.
pub async fn a_deleted_namespace_is_restored_with_its_objects(shared: &Shared) -> Result<()> {
    let name = "deleted-by-hand";
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    let bundle = Bundle::new().namespace(name).config("settings", "1").deployment("web", READY);
    add_on.assign(&spec(name, "1.0.0", &bundle)).await?;
    add_on.until_available("1.0.0").await?;
    managed.kubectl(&format!("delete namespace {name} --wait=false")).await?;
    until("the namespace to be gone", TIMEOUT, || async {
        let namespace = add_on.object("v1", "Namespace", "", name).await?;
        let is_ending = namespace
            .as_ref()
            .is_some_and(|it| it.pointer("/metadata/deletionTimestamp").is_some());
        Ok((!is_ending).then_some(()))
    })
    .await?;
    until("everything to be there again", TIMEOUT, || async {
        let objects = [add_on.config(name, "settings").await?, add_on.image(name, "web").await?];
        match &objects {
            [Some(_), Some(_)] => Ok(Some(())),
            _ => bail!("{objects:?}"),
        }
    })
    .await?;
    let status = add_on.until_available("1.0.0").await?;
    let is_mended = |status: &_| condition(status, "Drifted").starts_with("False");
    if !is_mended(&status) {
        add_on.until("to have mended the namespace", is_mended).await?;
    }
    Ok(())
}
