//! Objects that their author marked as to be kept.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testbed::AddOn;
use testbed::bundle::{Bundle, Spec};

use crate::harness::Shared;

const MARKED: [(&str, &str, &str); 4] = [
    ("helm", "helm.sh/resource-policy", "keep"),
    ("ocm", "addon.open-cluster-management.io/deletion-orphan", ""),
    ("argo-cd", "argocd.argoproj.io/sync-options", "Prune=false"),
    ("flux", "kustomize.toolkit.fluxcd.io/prune", "disabled"),
];

fn marked(name: &str, mark: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "annotations": {mark: value}}, "data": {"a": "b"},
    })
}

/// Returns a bundle with one object of each mark, and one without.
fn whole(namespace: &str) -> Bundle {
    let bundle = Bundle::new().namespace(namespace).config("anchor", "1").config("unmarked", "1");
    MARKED
        .iter()
        .fold(bundle, |bundle, (name, mark, value)| bundle.object(marked(name, mark, value)))
}

async fn existing(add_on: &AddOn, namespace: &str) -> Result<Vec<&'static str>> {
    let mut existing = Vec::new();
    for name in ["helm", "ocm", "argo-cd", "flux", "unmarked"] {
        if add_on.object("v1", "ConfigMap", namespace, name).await?.is_some() {
            existing.push(name);
        }
    }
    Ok(existing)
}

/// An upgrade that drops them leaves them and removes the others.
pub async fn an_upgrade_keeps_marked_objects_that_it_drops(shared: &Shared) -> Result<()> {
    let name = "marked";
    let add_on = shared.managed().await?.add_on(name);
    add_on.assign(&Spec::inline("1.0.0", &whole(name)).namespace(name)).await?;
    add_on.until_available("1.0.0").await?;
    let next = Bundle::new().namespace(name).config("anchor", "2");
    add_on.assign(&Spec::inline("1.1.0", &next).namespace(name)).await?;
    add_on.until_available("1.1.0").await?;
    let left = existing(&add_on, name).await?;
    ensure!(left == ["helm", "ocm", "argo-cd", "flux"], "{left:?}");
    Ok(())
}

/// An uninstall leaves them, and the namespace that they are in.
pub async fn an_uninstall_keeps_marked_objects_and_their_namespace(shared: &Shared) -> Result<()> {
    let name = "marked-too";
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    add_on.assign(&Spec::inline("1.0.0", &whole(name)).namespace(name)).await?;
    add_on.until_available("1.0.0").await?;
    add_on.delete().await?;
    add_on.until_gone().await?;
    let left = existing(&add_on, name).await?;
    ensure!(left == ["helm", "ocm", "argo-cd", "flux"], "{left:?}");
    let events =
        managed.kubectl("get events --all-namespaces --field-selector reason=Kept").await?;
    ensure!(events.contains("helm.sh/resource-policy"), "{events}");
    Ok(())
}
