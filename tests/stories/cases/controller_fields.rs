//! Fields that a controller owns by design, in a manifest all the same.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testbed::AddOn;
use testbed::bundle::{Bundle, READY, Spec, workload};
use testbed::wait::until;

use crate::TIMEOUT;
use crate::at_rest::{start_watchful, until_lists};
use crate::harness::Shared;

/// An aggregated role with `rules: []`, one without rules, and an exported Deployment with the revision that the controller
/// counts: nothing is fought over, and nothing is reported.
pub async fn nobody_fights_over_fields_of_controllers(_: &Shared) -> Result<()> {
    let managed = start_watchful("fields").await?;
    let add_on = managed.add_on("fields");
    let bundle = |parts: &[&str]| {
        let mut web = workload("Deployment", "web", READY);
        web["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "7"});
        let whole = Bundle::new().namespace("fields").object(web);
        let whole = whole.object(aggregated("whole", Some(json!([]))));
        let whole = whole.object(aggregated("whole-too", None));
        parts.iter().fold(whole, |whole, name| whole.object(part(name)))
    };
    let spec = |version, parts: &[&str]| Spec::inline(version, &bundle(parts)).namespace("fields");
    for (version, parts) in [("1.0.0", &["one"][..]), ("1.1.0", &["one", "two"])] {
        add_on.assign(&spec(version, parts)).await?;
        add_on.until_available(version).await?;
        until("the rules to be aggregated", TIMEOUT, || async {
            let [one, other] = roles(&add_on).await?;
            Ok((rules(&one) == parts.len() && rules(&other) == parts.len()).then_some(()))
        })
        .await?;
        let before = roles(&add_on).await?;
        until_lists(&managed, 4.0).await?;
        ensure!(roles(&add_on).await? == before, "the roles were written at rest");
        let status = add_on.status().await?;
        let drifted = status.condition("Drifted").context("no condition Drifted")?;
        ensure!(drifted.status == "False" && drifted.reason == "InSync", "{drifted:?}");
    }
    Ok(())
}

async fn roles(add_on: &AddOn) -> Result<[Value; 2]> {
    let role = |name| async move {
        let role = add_on.object("rbac.authorization.k8s.io/v1", "ClusterRole", "", name).await?;
        role.context("no ClusterRole")
    };
    Ok([role("whole").await?, role("whole-too").await?])
}

fn rules(role: &Value) -> usize {
    role["rules"].as_array().map_or(0, Vec::len)
}

fn aggregated(name: &str, rules: Option<Value>) -> Value {
    let mut role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"example.com/part": "yes"}}]},
    });
    if let Some(rules) = rules {
        role["rules"] = rules;
    }
    role
}

fn part(name: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": name, "labels": {"example.com/part": "yes"}},
        "rules": [{"apiGroups": [""], "resources": [name], "verbs": ["get"]}],
    })
}
