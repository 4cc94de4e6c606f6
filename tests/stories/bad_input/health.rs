//! Versions that pass every check and do not become healthy.

use anyhow::{Result, ensure};
use lifecycle::Reason;
use testbed::bundle::{Bundle, MISSING, NEVER_READY, Spec};

use super::running_add_on::{NEW, RunningAddOn};
use crate::harness::Shared;
use crate::health::until_verifying_with;

/// A time-out that ends before anything could become healthy.
const SOON: &str = "4s";

pub async fn pods_that_never_become_ready_lead_to_a_rollback(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "never-ready").await?;
    let words = ["rolled back to 1.4.0", "Deployment never-ready/web"];
    running.expect_rollback(&bad(&running, NEVER_READY), Reason::TimedOut, &words).await?;
    running.upgrade().await
}

pub async fn an_image_that_cannot_be_pulled_leads_to_a_rollback(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "no-image").await?;
    let words = ["rolled back to 1.4.0", "Deployment no-image/web", "ImagePullBackOff", MISSING];
    let bad = bad(&running, MISSING);
    assign_until_verifying_with(&running, &bad, "ImagePullBackOff").await?;
    running.expect_rollback(&bad, Reason::TimedOut, &words).await?;
    running.upgrade().await
}

pub async fn pods_that_a_quota_refuses_lead_to_a_rollback(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "quota").await?;
    let plane = &running.managed.plane;
    plane.apply_yaml("{apiVersion: v1, kind: ResourceQuota, metadata: {name: one-pod, namespace: quota}, spec: {hard: {pods: '1'}}}").await?;
    let used = ["wait", "--for=jsonpath={.status.used.pods}=1", "resourcequota/one-pod"];
    plane.kubectl(&[&used[..], &["--namespace=quota", "--timeout=120s"]].concat()).await?;
    let spec = bad(&running, "registry.example.com/ready:2");
    let words = ["rolled back to 1.4.0", "Deployment quota/web", "exceeded quota: one-pod"];
    assign_until_verifying_with(&running, &spec, "exceeded quota").await?;
    running.expect_rollback(&spec, Reason::TimedOut, &words).await?;
    let quota = running.object("v1", "ResourceQuota", "one-pod").await?;
    ensure!(quota["spec"]["hard"]["pods"] == "1", "{quota:#}");
    // The old pod stays, so the corrected version needs no second one.
    running.upgrade().await
}

/// Assigns the version with a long time-out, until controllers have reported the problem.
async fn assign_until_verifying_with(
    running: &RunningAddOn<'_>,
    spec: &Spec,
    word: &str,
) -> Result<()> {
    running.assign(&spec.clone().policy("timeout", "10m")).await?;
    until_verifying_with(&running.add_on, word).await
}

fn bad(running: &RunningAddOn<'_>, image: &str) -> Spec {
    let bundle = Bundle::new().namespace(&running.namespace);
    let bundle = bundle.config("settings", "new").deployment("web", image);
    Spec::inline(NEW, &bundle).policy("timeout", SOON)
}
