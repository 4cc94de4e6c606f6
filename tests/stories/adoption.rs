//! Taking over what others installed.

use anyhow::{Context, Result, ensure};
use lifecycle::Phase;
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};

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

/// What was there and worked is not taken away by a version that fails; once one is available, it is ours like all else.
pub async fn what_a_failed_version_took_over_stays(bed: &Bed) -> Result<()> {
    let managed = bed.managed().await?;
    let add_on = managed.add_on("kept");
    managed.kubectl("create namespace kept").await?;
    managed.kubectl("create configmap settings --namespace kept --from-literal=value=old").await?;
    let settings = || add_on.object("v1", "ConfigMap", "kept", "settings");
    let before = settings().await?.context("no ConfigMap")?["metadata"]["uid"].clone();
    let spec = |version: &str, bundle: &Bundle| {
        Spec::inline(version, bundle).namespace("kept").policy("adopt", true)
    };

    let bundle = Bundle::new().config("settings", "1.0.0").config("made", "1.0.0");
    let bad = spec("1.0.0", &bundle.deployment("web", NEVER_READY)).policy("timeout", "3s");
    add_on.assign(&bad).await?;
    add_on.until_phase(Phase::Failed).await?;
    let after = settings().await?.context("what was taken over is gone")?;
    ensure!(after["metadata"]["uid"] == before, "made anew");
    ensure!(add_on.config("kept", "made").await?.is_none(), "what it made is left");
    let events =
        "get events.events.k8s.io --all-namespaces --field-selector regarding.name=kept -o yaml";
    let told = managed.kubectl(events).await?;
    ensure!(told.contains("ConfigMap kept/settings (was here before"), "{told}");

    let bundle = Bundle::new().config("settings", "1.1.0").deployment("web", READY);
    add_on.assign(&spec("1.1.0", &bundle)).await?;
    add_on.until_available("1.1.0").await?;
    ensure!(settings().await?.context("gone")?["metadata"]["uid"] == before, "made anew");

    managed.kubectl("create configmap other --namespace kept --from-literal=value=old").await?;
    add_on.assign(&spec("1.1.1", &bundle.config("other", "1"))).await?;
    let status = add_on.until_available("1.1.1").await?;
    let safe = status.conditions.iter().find(|condition| condition.type_ == "RollbackSafe");
    let safe = safe.context("no RollbackSafe")?;
    ensure!(safe.status == "Unknown", "{safe:?}");
    ensure!(safe.message.contains("ConfigMap kept/other existed before"), "{safe:?}");
    add_on.assign(&spec("1.2.0", &Bundle::new().deployment("web", READY))).await?;
    add_on.until_available("1.2.0").await?;
    ensure!(settings().await?.is_none(), "what a version that worked has dropped is left");
    Ok(())
}
