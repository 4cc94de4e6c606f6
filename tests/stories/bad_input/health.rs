//! Versions that every check lets through and that do not become healthy.

use anyhow::{Result, ensure};
use lifecycle::Reason;
use testbed::bundle::{Bundle, MISSING, NEVER_READY, Spec};

use super::running_add_on::{NEW, Running};
use crate::harness::Bed;
use crate::health::until_it_waits;

/// Only ever long enough to see that nothing comes.
const SOON: &str = "4s";

pub async fn goes_back_from_pods_that_never_become_ready(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "never-ready").await?;
    let words = ["rolled back to 1.4.0", "Deployment never-ready/web"];
    running.goes_back_from(&bad(&running, NEVER_READY), Reason::TimedOut, &words).await?;
    running.mended().await
}

pub async fn goes_back_from_an_image_that_cannot_be_pulled(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "no-image").await?;
    let words = ["rolled back to 1.4.0", "Deployment no-image/web", "ImagePullBackOff", MISSING];
    let bad = bad(&running, MISSING);
    waits_for(&running, &bad, "ImagePullBackOff").await?;
    running.goes_back_from(&bad, Reason::TimedOut, &words).await?;
    running.mended().await
}

pub async fn goes_back_where_a_quota_refuses_pods(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "quota").await?;
    let plane = &running.managed.plane;
    plane.apply_yaml("{apiVersion: v1, kind: ResourceQuota, metadata: {name: one-pod, namespace: quota}, spec: {hard: {pods: '1'}}}").await?;
    let used = ["wait", "--for=jsonpath={.status.used.pods}=1", "resourcequota/one-pod"];
    plane.kubectl(&[&used[..], &["--namespace=quota", "--timeout=120s"]].concat()).await?;
    let spec = bad(&running, "registry.example.com/ready:2");
    let words = ["rolled back to 1.4.0", "Deployment quota/web", "exceeded quota: one-pod"];
    waits_for(&running, &spec, "exceeded quota").await?;
    running.goes_back_from(&spec, Reason::TimedOut, &words).await?;
    let quota = running.object("v1", "ResourceQuota", "one-pod").await?;
    ensure!(quota["spec"]["hard"]["pods"] == "1", "{quota:#}");
    // The old pod may stay, so nothing needs a second one.
    running.mended().await
}

/// It has time until the controllers have said what it waits for.
async fn waits_for(running: &Running<'_>, spec: &Spec, word: &str) -> Result<()> {
    running.assign(&spec.clone().policy("timeout", "10m")).await?;
    until_it_waits(&running.add_on, word).await
}

fn bad(running: &Running<'_>, image: &str) -> Spec {
    let bundle = Bundle::new().namespace(&running.namespace);
    let bundle = bundle.config("settings", "new").deployment("web", image);
    Spec::inline(NEW, &bundle).policy("timeout", SOON)
}
