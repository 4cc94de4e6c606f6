//! Taking over what others installed.

use anyhow::{Context, Result, ensure};
use testbed::bundle::{Bundle, Spec};

use crate::harness::Bed;

pub async fn existing_objects_are_taken_over_whole(bed: &Bed) -> Result<()> {
    let managed = bed.managed().await?;
    let add_on = managed.add_on("adopted");
    managed.kubectl("create namespace adopted").await?;
    let create = "create configmap settings --namespace adopted";
    managed.kubectl(&format!("{create} --from-literal=value=old --from-literal=more=x")).await?;
    let uid = |object: Option<serde_json::Value>| {
        object.and_then(|object| object.pointer("/metadata/uid").cloned()).context("no uid")
    };
    let before = uid(add_on.object("v1", "ConfigMap", "adopted", "settings").await?)?;

    let bundle = Bundle::new().config("settings", "ours");
    let spec = Spec::inline("1.0.0", &bundle).namespace("adopted").policy("adopt", true);
    add_on.assign(&spec).await?;
    add_on.until_available("1.0.0").await?;
    let object = add_on.object("v1", "ConfigMap", "adopted", "settings").await?;
    let data = object.as_ref().and_then(|object| object.pointer("/data").cloned());
    // The key that no manifest has any more is gone, although another manager set it.
    ensure!(data == Some(serde_json::json!({"value": "ours"})), "{data:?}");
    ensure!(uid(object)? == before, "made anew instead of taken over");
    Ok(())
}
