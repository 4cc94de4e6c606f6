//! An admission policy of an add-on that refuses what the older version has.

use anyhow::{Context, Result, bail, ensure};
use lifecycle::Phase;
use serde_json::{Value, json};
use testbed::Managed;
use testbed::bundle::{Bundle, NEVER_READY, READY};
use testbed::wait::until;

use super::spec;
use crate::TIMEOUT;
use crate::harness::Shared;
use crate::prerequisites::crd;

const GROUP: &str = "no-older.example.com";
const LAMPS: &str = "lamps.no-older.example.com";

/// The way back of a broken version is complete, and so is a rollback that was requested.
pub async fn a_policy_against_older_definitions_keeps_out_no_way_back(
    shared: &Shared,
) -> Result<()> {
    let name = "no-older";
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    let bundle = |form: &str, image: &str| {
        let mut lamps = crd("Lamp", GROUP);
        lamps["metadata"]["annotations"] = json!({"example.com/form": form});
        Bundle::new().namespace(name).object(lamps).deployment("lamps", image)
    };
    let form = async || {
        let definition = "CustomResourceDefinition";
        let lamps = add_on.object("apiextensions.k8s.io/v1", definition, "", LAMPS).await?;
        anyhow::Ok(
            lamps.context("no definition")?["metadata"]["annotations"]["example.com/form"].clone(),
        )
    };
    add_on.assign(&spec(name, "1.0.0", &bundle("old", READY))).await?;
    add_on.until_available("1.0.0").await?;
    let broken = spec(name, "1.1.0", &with_policy(bundle("new", NEVER_READY)));
    add_on.assign(&broken.clone().policy("timeout", "10m")).await?;
    until_refused(managed).await?;
    add_on.assign(&broken.policy("timeout", "1s")).await?;
    let status = add_on.until_phase(Phase::RolledBack).await?;
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() != Some("RollbackIncomplete"), "{message}");
    ensure!(form().await? == "old", "{}", form().await?);
    add_on.assign(&spec(name, "1.2.0", &with_policy(bundle("new", READY)))).await?;
    add_on.until_available("1.2.0").await?;
    until_refused(managed).await?;
    add_on.assign(&spec(name, "1.0.0", &bundle("old", READY))).await?;
    add_on.until_available("1.0.0").await?;
    ensure!(form().await? == "old", "{}", form().await?);
    Ok(())
}

/// Waits until the API server refuses the older form.
async fn until_refused(managed: &Managed) -> Result<()> {
    until("the policy to be enforced", TIMEOUT, || async {
        let older = "example.com/form=old --overwrite --dry-run=server";
        match managed.kubectl(&format!("annotate crd {LAMPS} {older}")).await {
            Err(error) if error.to_string().contains("older forms are refused") => Ok(Some(())),
            outcome => bail!("{outcome:?}"),
        }
    })
    .await
}

fn with_policy(bundle: Bundle) -> Bundle {
    let admission = |kind: &str, spec: Value| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": "no-older.example.com"}, "spec": spec,
        })
    };
    let rule = json!({
        "apiGroups": ["apiextensions.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
        "resources": ["customresourcedefinitions"],
    });
    let is_new = format!(
        "object.spec.group != '{GROUP}' || object.metadata.annotations['example.com/form'] != 'old'"
    );
    let policy = json!({
        "failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": is_new, "message": "older forms are refused"}],
    });
    let binding = json!({"policyName": "no-older.example.com", "validationActions": ["Deny"]});
    bundle
        .object(admission("ValidatingAdmissionPolicy", policy))
        .object(admission("ValidatingAdmissionPolicyBinding", binding))
}
