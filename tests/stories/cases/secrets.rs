//! Fields that can only be written.

use anyhow::{Context, Result, ensure};
use lifecycle::Phase;
use serde_json::{Value, json};
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};

use crate::harness::Shared;

/// A key of `stringData` that the next version drops is gone, and so is one that a failed version added.
pub async fn keys_of_string_data_go_with_their_version(shared: &Shared) -> Result<()> {
    let name = "string-data";
    let add_on = shared.managed().await?.add_on(name);
    let bundle = |plain: Value, image: &str| {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, "stringData": plain,
        });
        Bundle::new().namespace(name).object(secret).deployment("web", image)
    };
    let spec = |version: &str, bundle: &Bundle| Spec::inline(version, bundle).namespace(name);
    let keys = || async {
        let secret = add_on.object("v1", "Secret", name, "login").await?.context("no Secret")?;
        let data = secret.pointer("/data").and_then(Value::as_object).context("no data")?;
        anyhow::Ok(data.keys().cloned().collect::<Vec<_>>())
    };
    add_on.assign(&spec("1.0.0", &bundle(json!({"user": "a", "old": "b"}), READY))).await?;
    add_on.until_available("1.0.0").await?;
    add_on.assign(&spec("1.1.0", &bundle(json!({"user": "a"}), READY))).await?;
    add_on.until_available("1.1.0").await?;
    ensure!(keys().await? == ["user"], "{:?}", keys().await?);
    let failing = spec("1.2.0", &bundle(json!({"user": "c", "new": "d"}), NEVER_READY));
    add_on.assign(&failing.policy("timeout", "5s")).await?;
    add_on.until_phase(Phase::RolledBack).await?;
    ensure!(keys().await? == ["user"], "{:?}", keys().await?);
    Ok(())
}
