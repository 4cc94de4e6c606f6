//! What is judged of going back before the first write, and what going back leaves as it is.

use anyhow::{Context, Result, ensure};
use lifecycle::{ManagedAddOnStatus, Phase};
use serde_json::{Value, json};
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};

use crate::at_rest::{shown, watchful};
use crate::harness::Bed;

/// Kinds are cluster-scoped, so each story has a group of its own.
struct Kind(&'static str);

impl Kind {
    fn group(&self) -> String {
        format!("{}.example.com", self.0)
    }

    fn definition(&self, versions: &[Value]) -> Value {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("boxes.{}", self.group())},
            "spec": {
                "group": self.group(), "scope": "Namespaced",
                "names": {"kind": "Box", "plural": "boxes"}, "versions": versions,
            },
        })
    }

    /// An object that is not the add-on's.
    fn object(&self, spec: Value) -> Value {
        json!({
            "apiVersion": format!("{}/v1", self.group()), "kind": "Box",
            "metadata": {"name": "theirs", "namespace": "default"}, "spec": spec,
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

fn bundle(name: &str, setting: &str, definition: Value) -> Bundle {
    Bundle::new().namespace(name).config("settings", setting).object(definition)
}

fn spec(name: &str, version: &str, bundle: &Bundle) -> Spec {
    Spec::inline(version, bundle).namespace(name)
}

fn judged(status: &ManagedAddOnStatus) -> String {
    shown(status, "RollbackSafe")
}

pub async fn a_definition_that_would_harm_living_objects_is_refused(bed: &Bed) -> Result<()> {
    let (name, kind) = ("narrowed", Kind("narrowed"));
    let managed = bed.managed().await?;
    let add_on = managed.add_on(name);
    let wide = kind.definition(&[version("v1", true, &["size", "color"])]);
    let narrow = kind.definition(&[version("v1", true, &["size"])]);
    add_on.assign(&spec(name, "1.0.0", &bundle(name, "old", wide))).await?;
    let status = add_on.until_available("1.0.0").await?;
    ensure!(judged(&status) == "absent", "an install is judged");
    managed.plane.apply_yaml(&kind.object(json!({"color": "secret red"})).to_string()).await?;
    add_on.assign(&spec(name, "1.1.0", &bundle(name, "new", narrow))).await?;
    let status = add_on.until_phase(Phase::Rejected).await?;
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() == Some("DefinitionNarrowed"), "{message}");
    ensure!(message.contains("Box default/theirs would lose spec.color"), "{message}");
    ensure!(!message.contains("red"), "{message}");
    ensure!(add_on.config(name, "settings").await?.as_deref() == Some("old"));
    // Without that object the definition may change freely.
    managed.plane.apply_yaml(&kind.object(json!({"size": "small"})).to_string()).await?;
    add_on.annotate("retry", Some("now")).await?;
    let status = add_on.until_available("1.1.0").await?;
    ensure!(judged(&status) == "True NoKnownRisk", "{status:?}");
    Ok(())
}

pub async fn going_back_leaves_a_definition_whose_objects_would_lose_fields(_: &Bed) -> Result<()> {
    let (name, kind) = ("widened", Kind("widened"));
    let managed = watchful("widened").await?;
    let add_on = managed.add_on(name);
    let narrow = kind.definition(&[version("v1", true, &["size"])]);
    let wide = kind.definition(&[version("v1", true, &["size", "color"])]);
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
    ensure!(message.contains("Box default/theirs would lose spec.color"), "{message}");
    ensure!(add_on.config(name, "settings").await?.as_deref() == Some("old"), "the rest goes back");
    ensure!(add_on.image(name, "web").await?.as_deref() == Some(READY));
    let api = format!("{}/v1", kind.group());
    let theirs = add_on.object(&api, "Box", "default", "theirs").await?.context("it is gone")?;
    ensure!(theirs.pointer("/spec/color") == Some(&json!("red")), "it lost a field: {theirs}");
    // The repair of what others change leaves it as it is, too, and tells of nothing.
    let looked = |status: &ManagedAddOnStatus| shown(status, "Drifted") != "absent";
    let status = add_on.until("to be looked after", looked).await?;
    ensure!(shown(&status, "Drifted").starts_with("False"), "{:?}", status.conditions);
    // Nor is it narrowed by a version that is like the old one.
    add_on.assign(&spec(name, "1.0.1", &good.config("more", "1"))).await?;
    let status = add_on.until_phase(Phase::Rejected).await?;
    ensure!(status.reason.as_deref() == Some("DefinitionNarrowed"), "{status:?}");
    Ok(())
}

/// 1.0.0 stores objects as v1, of which there is one; 1.1.0 stores them as v2.
async fn with_another_storage(bed: &Bed, name: &'static str, image: &str) -> Result<Bundle> {
    let kind = Kind(name);
    let managed = bed.managed().await?;
    let add_on = managed.add_on(name);
    let old = kind.definition(&[version("v1", true, &["size"])]);
    let good = bundle(name, "old", old).deployment("web", READY);
    add_on.assign(&spec(name, "1.0.0", &good)).await?;
    add_on.until_available("1.0.0").await?;
    managed.plane.apply_yaml(&kind.object(json!({"size": "small"})).to_string()).await?;
    let both = [version("v1", false, &["size"]), version("v2", true, &["size"])];
    Ok(bundle(name, "new", kind.definition(&both)).deployment("web", image))
}

pub async fn what_cannot_be_gone_back_from_waits_for_a_word(bed: &Bed) -> Result<()> {
    let name = "unsafe";
    let new = with_another_storage(bed, name, READY).await?;
    let add_on = bed.managed().await?.add_on(name);
    add_on.assign(&spec(name, "1.1.0", &new)).await?;
    let status = add_on.until_phase(Phase::Waiting).await?;
    ensure!(status.reason.as_deref() == Some("RollbackUnsafe"), "{status:?}");
    ensure!(judged(&status) == "False RollbackUnsafe", "{status:?}");
    let message = status.message.unwrap_or_default();
    ensure!(
        message.contains("boxes.unsafe.example.com would store its objects as v2"),
        "{message}"
    );
    ensure!(add_on.config(name, "settings").await?.as_deref() == Some("old"), "it was written");
    add_on.annotate("retry", Some("go on")).await?;
    let status = add_on.until_available("1.1.0").await?;
    ensure!(judged(&status) == "False RollbackUnsafe", "{status:?}");
    Ok(())
}

pub async fn whoever_says_proceed_goes_back_as_far_as_it_goes(bed: &Bed) -> Result<()> {
    let name = "proceeds";
    let new = with_another_storage(bed, name, NEVER_READY).await?;
    let add_on = bed.managed().await?.add_on(name);
    let bad = spec(name, "1.1.0", &new).policy("timeout", "4s").policy("onUnsafe", "Proceed");
    add_on.assign(&bad).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    let message = status.message.clone().unwrap_or_default();
    ensure!(status.reason.as_deref() == Some("RollbackIncomplete"), "{message}");
    ensure!(message.contains("CustomResourceDefinition boxes.proceeds.example.com"), "{message}");
    ensure!(judged(&status) == "False RollbackUnsafe", "{status:?}");
    ensure!(add_on.config(name, "settings").await?.as_deref() == Some("old"), "the rest goes back");
    Ok(())
}

pub async fn what_the_check_warns_of_stops_nothing(bed: &Bed) -> Result<()> {
    let name = "warned";
    let managed = bed.managed().await?;
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
    // One pod is all that there is room for, and it is there.
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
