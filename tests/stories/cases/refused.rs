//! Objects that the API server does not let go back.

use anyhow::{Context, Result, ensure};
use lifecycle::{Phase, Reason};
use serde_json::{Value, json};
use testbed::bundle::{Bundle, NEVER_READY, READY};

use super::{failing, spec};
use crate::harness::Shared;

/// A field that can be set and not unset stays and is named. Everything else is restored.
pub async fn a_field_that_cannot_be_unset_stays_alone(shared: &Shared) -> Result<()> {
    let (name, group) = ("one-way", "one-way.example.com");
    let add_on = shared.managed().await?.add_on(name);
    let bundle = |value: &str, resource: Value, image: &str| {
        let object = json!({
            "apiVersion": format!("{group}/v1"), "kind": "Box", "metadata": {"name": "own"}, "spec": resource,
        });
        let bundle = Bundle::new().namespace(name).object(boxes(group)).config("settings", value);
        bundle.object(object).deployment("web", image)
    };
    // A custom resource without status is awaited for long otherwise.
    let rule = json!([{"apiVersion": format!("{group}/v1"), "kind": "Box", "current": "true"}]);
    let old = spec(name, "1.0.0", &bundle("1", json!({"size": 1}), READY));
    add_on.assign(&old.with("health", rule.clone())).await?;
    add_on.until_available("1.0.0").await?;
    let new = bundle("2", json!({"size": 1, "tier": "gold"}), NEVER_READY);
    add_on.assign(&failing(name, "1.1.0", &new).with("health", rule)).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() == Some(Reason::RollbackIncomplete.name()), "{message}");
    ensure!(message.contains("Box one-way/own"), "{message}");
    ensure!(add_on.config(name, "settings").await?.as_deref() == Some("1"));
    ensure!(add_on.image(name, "web").await?.as_deref() == Some(READY));
    let own = add_on.object(&format!("{group}/v1"), "Box", name, "own").await?.context("gone")?;
    ensure!(own["spec"] == json!({"size": 1, "tier": "gold"}), "{own}");
    Ok(())
}

fn boxes(group: &str) -> Value {
    let rule =
        json!({"rule": "!has(oldSelf.tier) || has(self.tier)", "message": "tier cannot be unset"});
    let schema = json!({"type": "object", "properties": {"spec": {
        "type": "object", "x-kubernetes-validations": [rule],
        "properties": {"size": {"type": "integer"}, "tier": {"type": "string"}},
    }}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("boxes.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"kind": "Box", "plural": "boxes"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    })
}
