//! Objects that are refused on the way back.

use anyhow::{Result, ensure};
use lifecycle::{Phase, Reason};
use serde_json::{Value, json};
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};

use crate::harness::Shared;

pub async fn a_refused_object_keeps_no_other_from_being_restored(shared: &Shared) -> Result<()> {
    let name = "refuses";
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    let bundle = |image, value| {
        Bundle::new().namespace(name).config("settings", value).deployment("web", image)
    };
    add_on.assign(&Spec::inline("1.0.0", &bundle(READY, "old")).namespace(name)).await?;
    add_on.until_available("1.0.0").await?;
    let broken =
        Spec::inline("1.1.0", &bundle(NEVER_READY, "new")).namespace(name).policy("timeout", "20s");
    add_on.assign(&broken).await?;
    add_on.until_phase(Phase::Verifying).await?;
    for object in deny_old_settings(name) {
        managed.plane.apply_yaml(&object.to_string()).await?;
    }
    let status = add_on.until_phase(Phase::RolledBack).await?;
    let is_incomplete = status.reason.as_deref() == Some(Reason::RollbackIncomplete.name());
    let named = status.message.unwrap_or_default();
    ensure!(is_incomplete && named.contains("ConfigMap refuses/settings"), "{named}");
    ensure!(add_on.image(name, "web").await?.as_deref() == Some(READY));
    ensure!(add_on.config(name, "settings").await?.as_deref() == Some("new"));

    // Once nothing refuses it, repair restores it, and the rollback is complete.
    managed.kubectl(&format!("delete validatingadmissionpolicybinding {name}")).await?;
    let is_complete = |message: &String| !message.contains("settings");
    add_on
        .until("to be rolled back as a whole", |status| {
            status.message.as_ref().is_some_and(is_complete)
        })
        .await?;
    ensure!(add_on.config(name, "settings").await?.as_deref() == Some("old"));
    managed.kubectl(&format!("delete validatingadmissionpolicy {name}")).await.map(drop)
}

/// An admission policy that refuses the settings of the old version.
fn deny_old_settings(name: &str) -> [Value; 2] {
    let rule = json!({
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"],
        "resources": ["configmaps"], "resourceNames": ["settings"],
    });
    let is_new = "!has(object.data) || object.data.all(key, object.data[key] != 'old')";
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": is_new, "message": "old settings are refused"}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": name},
            }},
        },
    });
    [policy, binding]
}
