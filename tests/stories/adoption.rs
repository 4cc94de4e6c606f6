//! The adoption of objects that exist already.

use anyhow::{Context, Result, ensure};
use lifecycle::Phase;
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};

use crate::harness::Shared;

pub async fn an_adoption_takes_what_the_bundle_sets_and_leaves_the_rest(
    shared: &Shared,
) -> Result<()> {
    let managed = shared.managed().await?;
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
    ensure!(data == Some(serde_json::json!({"value": "ours", "more": "x"})), "{data:?}");
    ensure!(uid(object)? == before, "recreated instead of adopted");
    let left = "ConfigMap adopted/settings is adopted; fields that the bundle does not set stay with their managers: \
                kubectl-create: data.more";
    let events = managed.kubectl("get events --namespace default").await?;
    ensure!(events.contains(left), "{events}");
    // What it took is its own to drop.
    let spec = Spec::inline("1.1.0", &Bundle::new().object(empty_config())).namespace("adopted");
    add_on.assign(&spec).await?;
    add_on.until_available("1.1.0").await?;
    let object = add_on.object("v1", "ConfigMap", "adopted", "settings").await?;
    let data = object.as_ref().and_then(|object| object.pointer("/data").cloned());
    ensure!(data == Some(serde_json::json!({"more": "x"})), "{data:?}");
    Ok(())
}

fn empty_config() -> serde_json::Value {
    serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}})
}

/// A version that fails does not remove objects that worked before. Once a version is available, they belong to the add-on
/// like all others.
pub async fn objects_that_a_failed_version_adopted_stay(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
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
    let after = settings().await?.context("the adopted object is gone")?;
    ensure!(after["metadata"]["uid"] == before, "recreated");
    ensure!(
        add_on.config("kept", "made").await?.is_none(),
        "an object that it created was not removed"
    );
    let events =
        "get events.events.k8s.io --all-namespaces --field-selector regarding.name=kept -o yaml";
    let events = managed.kubectl(events).await?;
    ensure!(events.contains("ConfigMap kept/settings (existed before"), "{events}");

    let bundle = Bundle::new().config("settings", "1.1.0").deployment("web", READY);
    add_on.assign(&spec("1.1.0", &bundle)).await?;
    add_on.until_available("1.1.0").await?;
    ensure!(settings().await?.context("gone")?["metadata"]["uid"] == before, "recreated");

    managed.kubectl("create configmap other --namespace kept --from-literal=value=old").await?;
    add_on.assign(&spec("1.1.1", &bundle.config("other", "1"))).await?;
    let status = add_on.until_available("1.1.1").await?;
    let safe = status.conditions.iter().find(|condition| condition.type_ == "RollbackSafe");
    let safe = safe.context("no RollbackSafe")?;
    ensure!(safe.status == "Unknown", "{safe:?}");
    ensure!(safe.message.contains("ConfigMap kept/other existed before"), "{safe:?}");
    add_on.assign(&spec("1.2.0", &Bundle::new().deployment("web", READY))).await?;
    add_on.until_available("1.2.0").await?;
    ensure!(
        settings().await?.is_none(),
        "an adopted object that a later version dropped was not removed"
    );
    Ok(())
}
