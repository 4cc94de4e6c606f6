//! What ended well, and stays so.

use anyhow::{Result, ensure};
use lifecycle::{Phase, Reason};
use serde_json::{Value, json};
use testbed::bundle::Bundle;

use super::spec;
use crate::harness::Shared;

/// Its storage version changes with consent. A definition without the old version is refused before anything is written.
pub async fn a_definition_keeps_the_version_that_objects_are_stored_in(
    shared: &Shared,
) -> Result<()> {
    let (name, group) = ("stored-in", "stored-in.example.com");
    let add_on = shared.managed().await?.add_on(name);
    let bundle = |step: &str, versions: &[(&str, bool)]| {
        let current = if versions.len() == 1 { versions[0].0 } else { "v1" };
        let object = json!({
            "apiVersion": format!("{group}/{current}"), "kind": "Box", "metadata": {"name": "own"},
            "spec": {"size": 1}, "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        let bundle = Bundle::new().namespace(name).config("settings", step);
        bundle.object(boxes(group, versions)).object(object)
    };
    add_on.assign(&spec(name, "1.0.0", &bundle("1", &[("v1beta1", true)]))).await?;
    add_on.until_available("1.0.0").await?;
    let both = bundle("2", &[("v1beta1", false), ("v1", true)]);
    add_on.assign(&spec(name, "1.1.0", &both)).await?;
    let status = add_on.until_phase(Phase::Waiting).await?;
    ensure!(status.reason.as_deref() == Some("RollbackUnsafe"), "{status:?}");
    add_on.annotate("retry", Some("consent")).await?;
    add_on.until_available("1.1.0").await?;
    add_on.assign(&spec(name, "1.2.0", &bundle("3", &[("v1", true)]))).await?;
    let status = add_on.until_phase(Phase::Rejected).await?;
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() == Some(Reason::ObjectRefused.name()), "{message}");
    ensure!(message.contains("storedVersions"), "{message}");
    ensure!(add_on.config(name, "settings").await?.as_deref() == Some("2"));
    Ok(())
}

fn boxes(group: &str, versions: &[(&str, bool)]) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version = |(name, storage): &(&str, bool)| json!({"name": name, "served": true, "storage": storage, "schema": schema});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("boxes.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"kind": "Box", "plural": "boxes"},
            "versions": versions.iter().map(version).collect::<Vec<_>>(),
        },
    })
}
