//! The samples are taken by real API servers, and the rule by which OCM sees success says what it should.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kube::api::{Api, Patch, PatchParams};
use lifecycle::ManagedAddOn;
use serde_json::{Value, json};
use testbed::wait::until;
use testbed::{ControlPlane, Hub};

use crate::harness::Bed;

const CRD: &str = include_str!("../../manifests/agent/crd.yaml");
const POLICY: &str = include_str!("../../manifests/hub/admission.yaml");
const TEMPLATES: &str = include_str!("../../manifests/samples/fleet/templates.yaml");
const SAMPLES: [&str; 4] = [
    TEMPLATES,
    include_str!("../../manifests/samples/fleet/addon.yaml"),
    include_str!("../../manifests/samples/fleet/pin.yaml"),
    include_str!("../../manifests/samples/stand-alone.yaml"),
];

/// A policy is in force some seconds after it was written.
const IN_FORCE: Duration = Duration::from_secs(60);

pub async fn the_samples_are_taken_and_their_rule_is_right(_: &Bed) -> Result<()> {
    let hub = Hub::start("samples", "cluster1").await?;
    hub.plane.apply_yaml(POLICY).await?;
    hub.plane.apply_yaml(CRD).await?;
    for sample in SAMPLES {
        hub.plane.apply_yaml(sample).await?;
    }
    let templates = documents(TEMPLATES)?;
    let rules: Vec<&Value> =
        templates.iter().map(|it| &it["spec"]["agentSpec"]["manifestConfigs"]).collect();
    ensure!(
        rules.windows(2).all(|two| two[0] == two[1]),
        "the rule is not the same in each version"
    );
    for template in &templates {
        hub.plane.apply_yaml(&carried(template).to_string()).await?;
    }
    let rule = rules[0].pointer("/0/conditionRules/0/celExpressions/0").and_then(Value::as_str);
    the_rule_is_true_only_when_it_is_there(&hub.plane, rule.context("no rule")?).await
}

fn documents(yaml: &str) -> Result<Vec<Value>> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    Ok(serde_saphyr::from_multiple_with_options(yaml, options)?)
}

/// The ManagedAddOn as the klusterlet gets it.
fn carried(template: &Value) -> Value {
    let mut add_on = template["spec"]["agentSpec"]["workload"]["manifests"][0].clone();
    add_on["spec"]["values"]["REGION"] = json!("eu-1");
    add_on
}

/// The API server judges it, with the CEL that the klusterlet has too: a status for which it is false is refused.
async fn the_rule_is_true_only_when_it_is_there(plane: &ControlPlane, rule: &str) -> Result<()> {
    plane.apply_yaml(&judge(rule)).await?;
    let add_ons: Api<ManagedAddOn> = Api::all(plane.admin());
    let says = |status: Value| {
        let patch = Patch::Merge(json!({"status": status}));
        let add_ons = add_ons.clone();
        async move {
            let params = PatchParams::default();
            match add_ons.patch_status("metrics", &params, &patch).await {
                Ok(_) => anyhow::Ok(true),
                Err(kube::Error::Api(status)) if status.message.contains("the rule is false") => {
                    Ok(false)
                }
                Err(error) => Err(error.into()),
            }
        }
    };
    until("the rule to be in force", IN_FORCE, || async {
        if says(json!({"phase": "Pending"})).await? {
            bail!("not yet")
        }
        Ok(Some(()))
    })
    .await?;
    let generation = add_ons.get("metrics").await?.metadata.generation;
    let there = |phase: &str, version: &str, observed: Option<i64>| json!({"phase": phase, "currentVersion": version, "observedGeneration": observed});
    for (status, expected) in [
        (json!({"observedGeneration": null}), false),
        (there("Verifying", "1.5.0", generation), false),
        (there("RolledBack", "1.4.0", generation), false),
        (there("Available", "1.4.0", generation), false),
        (there("Available", "1.5.0", generation.map(|it| it - 1)), false),
        (there("Available", "1.5.0", generation), true),
    ] {
        ensure!(says(status.clone()).await? == expected, "{status} should be {expected}");
    }
    Ok(())
}

fn judge(rule: &str) -> String {
    let api = "admissionregistration.k8s.io/v1";
    let policy = json!({
        "apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "judge"},
        "spec": {
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["lifecycle.open-cluster-management.io"], "apiVersions": ["*"],
                "operations": ["UPDATE"], "resources": ["managedaddons/status"],
            }]},
            "validations": [{"expression": rule, "message": "the rule is false"}],
        },
    });
    let binding = json!({
        "apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "judge"},
        "spec": {"policyName": "judge", "validationActions": ["Deny"]},
    });
    format!("{policy}\n---\n{binding}\n")
}
