//! Rollback safety: the judgement before the first write, and the objects that a rollback leaves as they are.

use anyhow::{Context, Result, ensure};
use lifecycle::{ManagedAddOnStatus, Phase};
use serde_json::{Value, json};
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};

use crate::at_rest::{condition, start_watchful};
use crate::harness::Shared;

/// The API group of one story. CRDs are cluster-scoped, so each story has its own.
struct Kind(&'static str);

impl Kind {
    fn group(&self) -> String {
        format!("{}.example.com", self.0)
    }

    fn crd(&self, versions: &[Value]) -> Value {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("boxes.{}", self.group())},
            "spec": {
                "group": self.group(), "scope": "Namespaced",
                "names": {"kind": "Box", "plural": "boxes"}, "versions": versions,
            },
        })
    }

    /// Returns a foreign object.
    fn object(&self, spec: Value) -> Value {
        json!({
            "apiVersion": format!("{}/v1", self.group()), "kind": "Box",
            "metadata": {"name": "foreign", "namespace": "default"}, "spec": spec,
        })
    }
}

fn version(name: &str, storage: bool, fields: &[&str]) -> Value {
    let fields: serde_json::Map<String, Value> =
        fields.iter().map(|field| ((*field).to_owned(), json!({"type": "string"}))).collect();
    let spec = json!({"type": "object", "properties": fields});
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema}})
}

fn bundle(name: &str, setting: &str, crd: Value) -> Bundle {
    Bundle::new().namespace(name).config("settings", setting).object(crd)
}

fn spec(name: &str, version: &str, bundle: &Bundle) -> Spec {
    Spec::inline(version, bundle).namespace(name)
}

/// Returns status and reason of the condition `RollbackSafe`.
fn rollback_safe(status: &ManagedAddOnStatus) -> String {
    condition(status, "RollbackSafe")
}

pub async fn a_crd_that_would_lose_data_of_existing_objects_is_rejected(
    shared: &Shared,
) -> Result<()> {
    let (name, kind) = ("narrowed", Kind("narrowed"));
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    let wide = kind.crd(&[version("v1", true, &["size", "color"])]);
    let narrow = kind.crd(&[version("v1", true, &["size"])]);
    add_on.assign(&spec(name, "1.0.0", &bundle(name, "old", wide))).await?;
    let status = add_on.until_available("1.0.0").await?;
    ensure!(rollback_safe(&status) == "absent", "an install has a rollback safety");
    managed.plane.apply_yaml(&kind.object(json!({"color": "secret red"})).to_string()).await?;
    add_on.assign(&spec(name, "1.1.0", &bundle(name, "new", narrow))).await?;
    let status = add_on.until_phase(Phase::Rejected).await?;
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() == Some("DefinitionNarrowed"), "{message}");
    ensure!(message.contains("Box default/foreign would lose spec.color"), "{message}");
    ensure!(!message.contains("red"), "{message}");
    ensure!(add_on.config(name, "settings").await?.as_deref() == Some("old"));
    // Without that object the CRD may change.
    managed.plane.apply_yaml(&kind.object(json!({"size": "small"})).to_string()).await?;
    add_on.annotate("retry", Some("now")).await?;
    let status = add_on.until_available("1.1.0").await?;
    ensure!(rollback_safe(&status) == "True NoKnownRisk", "{status:?}");
    Ok(())
}

pub async fn a_rollback_keeps_a_crd_whose_objects_would_lose_fields(_: &Shared) -> Result<()> {
    let (name, kind) = ("widened", Kind("widened"));
    let managed = start_watchful("widened").await?;
    let add_on = managed.add_on(name);
    let narrow = kind.crd(&[version("v1", true, &["size"])]);
    let wide = kind.crd(&[version("v1", true, &["size", "color"])]);
    let good = bundle(name, "old", narrow).deployment("web", READY);
    add_on.assign(&spec(name, "1.0.0", &good)).await?;
    add_on.until_available("1.0.0").await?;
    let bad = bundle(name, "new", wide).deployment("web", NEVER_READY);
    let bad = spec(name, "1.1.0", &bad);
    add_on.assign(&bad.clone().policy("timeout", "10m")).await?;
    add_on.until_phase(Phase::Verifying).await?;
    managed.plane.apply_yaml(&kind.object(json!({"color": "red"})).to_string()).await?;
    add_on.assign(&bad.policy("timeout", "1s")).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() == Some("RollbackIncomplete"), "{message}");
    ensure!(message.contains("Box default/foreign would lose spec.color"), "{message}");
    ensure!(
        add_on.config(name, "settings").await?.as_deref() == Some("old"),
        "the other objects were not rolled back"
    );
    ensure!(add_on.image(name, "web").await?.as_deref() == Some(READY));
    let api = format!("{}/v1", kind.group());
    let foreign = add_on
        .object(&api, "Box", "default", "foreign")
        .await?
        .context("the foreign object is gone")?;
    ensure!(foreign.pointer("/spec/color") == Some(&json!("red")), "it lost a field: {foreign}");
    // The repair of drift leaves the CRD as it is, too, and reports no drift.
    let has_condition = |status: &ManagedAddOnStatus| condition(status, "Drifted") != "absent";
    let status = add_on.until("to be checked for drift", has_condition).await?;
    ensure!(condition(&status, "Drifted").starts_with("False"), "{:?}", status.conditions);
    // A version with the old CRD is rejected.
    add_on.assign(&spec(name, "1.0.1", &good.config("more", "1"))).await?;
    let status = add_on.until_phase(Phase::Rejected).await?;
    ensure!(status.reason.as_deref() == Some("DefinitionNarrowed"), "{status:?}");
    Ok(())
}

/// Installs 1.0.0, which stores objects as v1, with one object. Returns the bundle of 1.1.0, which stores them as v2.
async fn install_and_change_storage(
    shared: &Shared,
    name: &'static str,
    image: &str,
) -> Result<Bundle> {
    let kind = Kind(name);
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    let old = kind.crd(&[version("v1", true, &["size"])]);
    let good = bundle(name, "old", old).deployment("web", READY);
    add_on.assign(&spec(name, "1.0.0", &good)).await?;
    add_on.until_available("1.0.0").await?;
    managed.plane.apply_yaml(&kind.object(json!({"size": "small"})).to_string()).await?;
    let both = [version("v1", false, &["size"]), version("v2", true, &["size"])];
    Ok(bundle(name, "new", kind.crd(&both)).deployment("web", image))
}

pub async fn an_upgrade_without_a_safe_rollback_waits_for_consent(shared: &Shared) -> Result<()> {
    let name = "unsafe";
    let new = install_and_change_storage(shared, name, READY).await?;
    let add_on = shared.managed().await?.add_on(name);
    add_on.assign(&spec(name, "1.1.0", &new)).await?;
    let status = add_on.until_phase(Phase::Waiting).await?;
    ensure!(status.reason.as_deref() == Some("RollbackUnsafe"), "{status:?}");
    ensure!(rollback_safe(&status) == "False RollbackUnsafe", "{status:?}");
    let message = status.message.unwrap_or_default();
    ensure!(
        message.contains("boxes.unsafe.example.com would store its objects as v2"),
        "{message}"
    );
    ensure!(add_on.config(name, "settings").await?.as_deref() == Some("old"), "1.1.0 was applied");
    add_on.annotate("retry", Some("consent")).await?;
    let status = add_on.until_available("1.1.0").await?;
    ensure!(rollback_safe(&status) == "False RollbackUnsafe", "{status:?}");
    Ok(())
}

pub async fn an_unsafe_rollback_with_consent_restores_as_much_as_possible(
    shared: &Shared,
) -> Result<()> {
    let name = "proceeds";
    let new = install_and_change_storage(shared, name, NEVER_READY).await?;
    let add_on = shared.managed().await?.add_on(name);
    let bad = spec(name, "1.1.0", &new).policy("timeout", "4s").policy("onUnsafe", "Proceed");
    add_on.assign(&bad).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    let message = status.message.clone().unwrap_or_default();
    ensure!(status.reason.as_deref() == Some("RollbackIncomplete"), "{message}");
    ensure!(message.contains("CustomResourceDefinition boxes.proceeds.example.com"), "{message}");
    ensure!(rollback_safe(&status) == "False RollbackUnsafe", "{status:?}");
    ensure!(
        add_on.config(name, "settings").await?.as_deref() == Some("old"),
        "the other objects were not rolled back"
    );
    Ok(())
}

pub async fn warnings_of_the_check_stop_nothing(shared: &Shared) -> Result<()> {
    let name = "warned";
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": name},
        "spec": {"hard": {"pods": "1"}},
    });
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name},
    });
    managed.plane.apply_yaml(&format!("{namespace}\n---\n{quota}")).await?;
    let fixed = |value: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fixed"},
            "immutable": true, "data": {"value": value},
        })
    };
    let old = Bundle::new().config("settings", "old").deployment("web", READY).object(fixed("old"));
    add_on.assign(&spec(name, "1.0.0", &old)).await?;
    add_on.until_available("1.0.0").await?;
    // The quota has room for one pod, which runs already.
    let new = Bundle::new().config("settings", "new").deployment("web", READY).object(fixed("new"));
    let outdated = |name: &str| json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name}, "subsets": []});
    let new = new.object(outdated("one")).object(outdated("two"));
    add_on.assign(&spec(name, "1.1.0", &new)).await?;
    let status = add_on.until_available("1.1.0").await?;
    let ledger = status.rollout.context("no ledger")?;
    let warnings = ledger["operation"]["warnings"].to_string();
    ensure!(warnings.contains("ConfigMap warned/fixed is deleted and recreated"), "{warnings}");
    ensure!(warnings.contains("pods of Deployment warned/web would be refused now"), "{warnings}");
    ensure!(warnings.contains("exceeded quota: few"), "{warnings}");
    let deprecated = "Endpoints warned/one (and 1 more): v1 Endpoints is deprecated";
    ensure!(warnings.contains(deprecated), "{warnings}");
    let metrics = managed.metrics().await?;
    ensure!(metrics.contains("addon_agent_check_warnings_total{addon=\"warned\"} 3"), "{metrics}");
    Ok(())
}
