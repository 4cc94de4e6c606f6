//! Forms whose earlier form left defaults of the API server behind.

use anyhow::{Context, Result, ensure};
use lifecycle::Phase;
use serde_json::{Value, json};
use testbed::AddOn;
use testbed::bundle::{Bundle, NEVER_READY, READY, workload};

use super::{failing, spec};
use crate::bad_input::running_add_on::uid;
use crate::harness::Shared;

/// Returns a StatefulSet of one pod, whose update strategy the API server chooses if there is none.
fn set(name: &str, strategy: Option<&str>, image: &str) -> Bundle {
    let mut set = workload("StatefulSet", "db", image);
    set["spec"]["serviceName"] = json!("db");
    if let Some(strategy) = strategy {
        set["spec"]["updateStrategy"] = json!({"type": strategy});
    }
    Bundle::new().namespace(name).object(set)
}

async fn set_and_pod(add_on: &AddOn) -> Result<(Value, Value)> {
    let set = add_on.object("apps/v1", "StatefulSet", &add_on.name, "db").await?;
    let pod = add_on.object("v1", "Pod", &add_on.name, "db-0").await?;
    Ok((set.context("no StatefulSet")?, pod.context("no pod")?))
}

/// The set and its pod are the same, and nothing of the rolling update stays.
pub async fn a_stateful_set_changes_to_on_delete_and_keeps_its_pod(shared: &Shared) -> Result<()> {
    let name = "to-on-delete";
    let add_on = shared.managed().await?.add_on(name);
    add_on.assign(&spec(name, "1.0.0", &set(name, None, READY))).await?;
    add_on.until_available("1.0.0").await?;
    let before = set_and_pod(&add_on).await?;
    add_on.assign(&spec(name, "2.0.0", &set(name, Some("OnDelete"), READY))).await?;
    add_on.until_available("2.0.0").await?;
    let now = set_and_pod(&add_on).await?;
    ensure!(now.0["spec"]["updateStrategy"] == json!({"type": "OnDelete"}), "{}", now.0);
    ensure!(uid(&now.0) == uid(&before.0) && uid(&now.1) == uid(&before.1), "{now:?}");
    Ok(())
}

/// The broken version has a rolling update, by name or by default. Its pod does not stay.
pub async fn a_stateful_set_with_on_delete_comes_back_from_a_rolling_update(
    shared: &Shared,
) -> Result<()> {
    for (name, strategy) in
        [("on-delete-named", Some("RollingUpdate")), ("on-delete-dropped", None)]
    {
        let add_on = shared.managed().await?.add_on(name);
        add_on.assign(&spec(name, "1.0.0", &set(name, Some("OnDelete"), READY))).await?;
        add_on.until_available("1.0.0").await?;
        add_on.assign(&failing(name, "1.1.0", &set(name, strategy, NEVER_READY))).await?;
        let status = add_on.until_phase(Phase::RolledBack).await?;
        let message = status.message.unwrap_or_default();
        ensure!(status.reason.as_deref() != Some("RollbackIncomplete"), "{message}");
        let (set, pod) = set_and_pod(&add_on).await?;
        ensure!(set["spec"]["updateStrategy"] == json!({"type": "OnDelete"}), "{set}");
        ensure!(pod["spec"]["containers"][0]["image"] == READY, "{pod}");
    }
    Ok(())
}

/// A volume without a source is an `emptyDir`, which does not stay beside the ConfigMap of the next version.
pub async fn a_volume_without_a_source_becomes_a_config_map(shared: &Shared) -> Result<()> {
    let name = "sourceless";
    let add_on = shared.managed().await?.add_on(name);
    let bundle = |volume: Value| {
        let mut web = workload("Deployment", "web", READY);
        web["spec"]["template"]["spec"]["volumes"] = json!([volume]);
        Bundle::new().namespace(name).config("settings", "1").object(web)
    };
    add_on.assign(&spec(name, "1.0.0", &bundle(json!({"name": "etc"})))).await?;
    add_on.until_available("1.0.0").await?;
    let source = json!({"name": "etc", "configMap": {"name": "settings"}});
    add_on.assign(&spec(name, "2.0.0", &bundle(source))).await?;
    add_on.until_available("2.0.0").await?;
    let web = add_on.object("apps/v1", "Deployment", name, "web").await?.context("no web")?;
    let volume = &web["spec"]["template"]["spec"]["volumes"][0];
    ensure!(
        volume["configMap"]["name"] == "settings" && volume.get("emptyDir").is_none(),
        "{volume}"
    );
    Ok(())
}
