//! The samples: real API servers accept them, and the rule by which OCM detects success is correct.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kube::api::{Api, Patch, PatchParams};
use lifecycle::ManagedAddOn;
use serde_json::{Value, json};
use testbed::wait::until;
use testbed::{ControlPlane, Hub};

use crate::harness::Shared;

const CRD: &str = include_str!("../../manifests/agent/crd.yaml");
const POLICY: &str = include_str!("../../manifests/hub/admission.yaml");
const TEMPLATES: &str = include_str!("../../manifests/samples/fleet/templates.yaml");
const SAMPLES: [&str; 4] = [
    TEMPLATES,
    include_str!("../../manifests/samples/fleet/addon.yaml"),
    include_str!("../../manifests/samples/fleet/pin.yaml"),
    include_str!("../../manifests/samples/stand-alone.yaml"),
];

/// Longest time until a new admission policy takes effect.
const POLICY_TIMEOUT: Duration = Duration::from_secs(60);

pub async fn the_samples_are_accepted_and_their_rule_is_correct(_: &Shared) -> Result<()> {
    let hub = Hub::start("samples", "cluster1").await?;
    hub.plane.apply_yaml(POLICY).await?;
    hub.plane.apply_yaml(CRD).await?;
    for sample in SAMPLES {
        hub.plane.apply_yaml(sample).await?;
    }
    let templates = documents(TEMPLATES)?;
    let rules: Vec<&Value> =
        templates.iter().map(|it| &it["spec"]["agentSpec"]["manifestConfigs"]).collect();
    ensure!(rules.windows(2).all(|two| two[0] == two[1]), "the rule differs between versions");
    for template in &templates {
        hub.plane.apply_yaml(&rendered(template).to_string()).await?;
    }
    let rule = rules[0].pointer("/0/conditionRules/0/celExpressions/0").and_then(Value::as_str);
    check_rule(&hub.plane, rule.context("no rule")?).await
}

fn documents(yaml: &str) -> Result<Vec<Value>> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    Ok(serde_saphyr::from_multiple_with_options(yaml, options)?)
}

/// Returns the ManagedAddOn of a template, as the klusterlet gets it.
fn rendered(template: &Value) -> Value {
    let mut add_on = template["spec"]["agentSpec"]["workload"]["manifests"][0].clone();
    add_on["spec"]["values"]["REGION"] = json!("eu-1");
    add_on
}

/// Lets the API server evaluate the rule, with the same CEL as the klusterlet: it refuses a status for which the rule is
/// false.
async fn check_rule(plane: &ControlPlane, rule: &str) -> Result<()> {
    plane.apply_yaml(&policy(rule)).await?;
    let add_ons: Api<ManagedAddOn> = Api::all(plane.admin());
    let evaluate = |status: Value| {
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
    until("the policy to take effect", POLICY_TIMEOUT, || async {
        if evaluate(json!({"phase": "Pending"})).await? {
            bail!("not yet")
        }
        Ok(Some(()))
    })
    .await?;
    let generation = add_ons.get("metrics").await?.metadata.generation;
    let status = |phase: &str, version: &str, observed: Option<i64>| json!({"phase": phase, "currentVersion": version, "observedGeneration": observed});
    for (case, expected) in [
        (json!({"observedGeneration": null}), false),
        (status("Verifying", "1.5.0", generation), false),
        (status("RolledBack", "1.4.0", generation), false),
        (status("Available", "1.4.0", generation), false),
        (status("Available", "1.5.0", generation.map(|it| it - 1)), false),
        (status("Available", "1.5.0", generation), true),
    ] {
        ensure!(evaluate(case.clone()).await? == expected, "{case} should be {expected}");
    }
    Ok(())
}

fn policy(rule: &str) -> String {
    let api = "admissionregistration.k8s.io/v1";
    let policy = json!({
        "apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "rule"},
        "spec": {
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["lifecycle.open-cluster-management.io"], "apiVersions": ["*"],
                "operations": ["UPDATE"], "resources": ["managedaddons/status"],
            }]},
            "validations": [{"expression": rule, "message": "the rule is false"}],
        },
    });
    let binding = json!({
        "apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "rule"},
        "spec": {"policyName": "rule", "validationActions": ["Deny"]},
    });
    format!("{policy}\n---\n{binding}\n")
}
