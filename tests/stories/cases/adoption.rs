//! Objects that others made and changed, and that an add-on takes over.

use anyhow::{Context, Result, bail, ensure};
use lifecycle::{Phase, Reason};
use serde_json::{Value, json};
use testbed::bundle::{Bundle, READY, workload};
use testbed::wait::until;
use testbed::webhook::Webhook;
use testbed::{AddOn, Managed};

use super::spec;
use super::webhooks::{configuration, silent};
use crate::TIMEOUT;
use crate::bad_input::running_add_on::uid;
use crate::harness::Shared;

/// Applies a bundle as `kubectl apply` does without server-side apply.
async fn apply_by_hand(managed: &Managed, name: &str, bundle: &Bundle) -> Result<()> {
    let file = managed.plane.write(&format!("{name}.yaml"), &bundle.yaml())?;
    managed.kubectl(&format!("apply --namespace {name} --filename {}", file.display())).await?;
    Ok(())
}

/// A Job wrote the CA bundle of a webhook. It stays at the adoption, and so does a later one over the next versions.
pub async fn the_ca_bundle_that_a_job_wrote_stays(shared: &Shared) -> Result<()> {
    let name = "adopted-ca";
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    managed.kubectl(&format!("create namespace {name}")).await?;
    let webhook = silent(name, "", "configmaps", "Fail");
    apply_by_hand(managed, name, &Bundle::new().object(webhook.clone())).await?;
    let first = write_ca_bundle(managed, name).await?;
    let bundle = |version: &str| {
        let mut webhook = webhook.clone();
        webhook["metadata"]["labels"] = json!({"version": version});
        Bundle::new().object(webhook).deployment("web", READY)
    };
    add_on.assign(&spec(name, "1.0.0", &bundle("1.0.0")).policy("adopt", true)).await?;
    add_on.until_available("1.0.0").await?;
    ensure!(ca_bundle(&add_on).await? == first, "the adoption dropped it");
    add_on.assign(&spec(name, "1.1.0", &bundle("1.1.0"))).await?;
    add_on.until_available("1.1.0").await?;
    ensure!(ca_bundle(&add_on).await? == first, "the upgrade dropped it");
    let second = write_ca_bundle(managed, name).await?;
    ensure!(second != first);
    add_on.assign(&spec(name, "1.2.0", &bundle("1.2.0"))).await?;
    add_on.until_available("1.2.0").await?;
    ensure!(ca_bundle(&add_on).await? == second, "the later one was dropped");
    Ok(())
}

const CA_BUNDLE: &str = "/webhooks/0/clientConfig/caBundle";

async fn ca_bundle(add_on: &AddOn) -> Result<Value> {
    let living = configuration(add_on, &add_on.name).await?;
    Ok(living.pointer(CA_BUNDLE).cloned().unwrap_or_default())
}

/// Writes a new CA bundle as a Job does, and returns it.
pub async fn write_ca_bundle(managed: &Managed, name: &str) -> Result<Value> {
    let server = Webhook::start(|_| true).await?.configuration(name);
    let value = server.pointer(CA_BUNDLE).cloned().context("no certificate")?;
    let patch = json!([{"op": "add", "path": CA_BUNDLE, "value": value}]);
    let object = format!("validatingwebhookconfiguration {name} --type json");
    let line = format!("patch {object} --field-manager kube-webhook-certgen --patch {patch}");
    managed.kubectl(&line).await?;
    Ok(value)
}

/// A Deployment was restarted and scaled by hand. Its adoption replaces no pod.
pub async fn a_restarted_and_scaled_deployment_keeps_its_pods(shared: &Shared) -> Result<()> {
    let name = "adopted-restarted";
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    managed.kubectl(&format!("create namespace {name}")).await?;
    let mut before = workload("Deployment", "web", READY);
    before["spec"]["replicas"] = json!(2);
    let scaler = scaler();
    apply_by_hand(managed, name, &Bundle::new().object(before).object(scaler.clone())).await?;
    managed.kubectl(&format!("rollout restart --namespace {name} deployment/web")).await?;
    managed.kubectl(&format!("scale --namespace {name} deployment/web --replicas 4")).await?;
    let pods = until("four restarted pods", TIMEOUT, || async {
        let pods = pods(managed, name).await?;
        let is_restarted = |pod: &(String, bool)| pod.1;
        match pods.len() {
            4 if pods.iter().all(is_restarted) => Ok(Some(pods)),
            _ => bail!("{pods:?}"),
        }
    })
    .await?;
    let mut web = workload("Deployment", "web", READY);
    web["spec"].as_object_mut().context("no spec")?.remove("replicas");
    let bundle = Bundle::new().object(web).object(scaler);
    add_on.assign(&spec(name, "1.0.0", &bundle).policy("adopt", true)).await?;
    add_on.until_available("1.0.0").await?;
    let web = add_on.object("apps/v1", "Deployment", name, "web").await?.context("no web")?;
    ensure!(web["spec"]["replicas"] == 4, "{web}");
    let now = self::pods(managed, name).await?;
    ensure!(now == pods, "{now:?} instead of {pods:?}");
    Ok(())
}

/// Returns a scaler that has no metrics in the test bed, so that it scales to its bounds only.
pub fn scaler() -> Value {
    let cpu = json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}});
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {
            "minReplicas": 2, "maxReplicas": 10,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "metrics": [{"type": "Resource", "resource": cpu}],
        },
    })
}

/// Returns the UIDs of pods, and whether each comes from a restart.
async fn pods(managed: &Managed, name: &str) -> Result<Vec<(String, bool)>> {
    let list = managed.kubectl(&format!("get pods --namespace {name} --output json")).await?;
    let list: Value = serde_json::from_str(&list)?;
    let restarted = "/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
    let pods = list["items"].as_array().into_iter().flatten();
    let mut pods: Vec<_> =
        pods.map(|pod| (uid(pod).to_owned(), pod.pointer(restarted).is_some())).collect();
    pods.sort();
    Ok(pods)
}

/// An environment variable that was given twice is there once after the adoption. A version that gives it twice is refused.
pub async fn a_variable_that_was_given_twice_is_there_once(shared: &Shared) -> Result<()> {
    let name = "given-twice";
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    managed.kubectl(&format!("create namespace {name}")).await?;
    let variable = |value: &str| json!({"name": "NODE_ENV", "value": value});
    let bundle = |env: Value| {
        let mut web = workload("Deployment", "web", READY);
        web["spec"]["template"]["spec"]["containers"][0]["env"] = env;
        Bundle::new().object(web)
    };
    let env = async || {
        let web = add_on.object("apps/v1", "Deployment", name, "web").await?.context("no web")?;
        anyhow::Ok(web["spec"]["template"]["spec"]["containers"][0]["env"].clone())
    };
    let twice = bundle(json!([variable("prod"), variable("prod")]));
    apply_by_hand(managed, name, &twice).await?;
    let once = json!([variable("prod")]);
    add_on.assign(&spec(name, "1.0.0", &bundle(once.clone())).policy("adopt", true)).await?;
    add_on.until_available("1.0.0").await?;
    ensure!(env().await? == once, "{}", env().await?);
    let twice = bundle(json!([variable("prod"), variable("qa")]));
    add_on.assign(&spec(name, "1.1.0", &twice)).await?;
    let status = add_on.until_phase(Phase::Rejected).await?;
    let message = status.message.unwrap_or_default();
    ensure!(status.reason.as_deref() == Some(Reason::ObjectRefused.name()), "{message}");
    ensure!(message.contains("env") && message.contains("NODE_ENV"), "{message}");
    ensure!(env().await? == once, "{}", env().await?);
    Ok(())
}
