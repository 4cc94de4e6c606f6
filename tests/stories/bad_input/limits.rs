//! Limits of the cluster for objects: quotas and existing CRDs.

use anyhow::Result;
use lifecycle::Reason;
use serde_json::{Value, json};
use testbed::bundle::Spec;

use super::running_add_on::{NEW, RunningAddOn, working_bundle};
use crate::harness::Shared;

/// The version succeeds once the quota is raised.
pub async fn an_object_beyond_a_quota_is_rejected(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "no-room").await?;
    allow_services(&running, 0).await?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    });
    let spec = Spec::inline(NEW, &running.working_bundle("new").object(service));
    let words = ["Service no-room/web", "exceeded quota: services"];
    running.expect_rejection(&spec, Reason::QuotaExceeded, &words).await?;
    allow_services(&running, 1).await?;
    running.add_on.annotate("retry", Some("the quota was raised")).await?;
    running.until_running(NEW, "new").await
}

/// The bundle has the same CRD, so the check knows without a write.
pub async fn an_object_that_an_existing_crd_forbids_is_rejected(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::with(
        shared,
        "forbidden",
        working_bundle("forbidden", "old").object(wall_crd()),
    )
    .await?;
    let wall = json!({
        "apiVersion": "stories.example.com/v1", "kind": "Wall", "metadata": {"name": "wall"},
        "spec": {"colour": "invisible"},
    });
    let bundle = |setting| running.working_bundle(setting).object(wall_crd());
    let spec = Spec::inline(NEW, &bundle("new").object(wall));
    let words = ["Wall forbidden/wall", "spec.colour"];
    running.expect_rejection(&spec, Reason::ObjectRefused, &words).await?;
    running.upgrade_to(&Spec::inline(NEW, &bundle("new")), "new").await
}

/// Sets the quota and waits until it takes effect.
async fn allow_services(running: &RunningAddOn<'_>, count: u32) -> Result<()> {
    let plane = &running.managed.plane;
    let namespace = &running.namespace;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "services", "namespace": namespace},
        "spec": {"hard": {"services": count.to_string()}},
    });
    plane.apply_yaml(&quota.to_string()).await?;
    let condition = format!("--for=jsonpath={{.status.hard.services}}={count}");
    let wait = ["wait", "resourcequota/services", "--namespace", namespace, "--timeout=120s"];
    plane.kubectl(&[&wait[..], &[condition.as_str()]].concat()).await?;
    Ok(())
}

/// Returns the CRD of walls, which are red or blue.
fn wall_crd() -> Value {
    let colour = json!({"type": "string", "enum": ["red", "blue"]});
    let spec = json!({"type": "object", "properties": {"colour": colour}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "walls.stories.example.com"},
        "spec": {
            "group": "stories.example.com",
            "names": {"kind": "Wall", "plural": "walls", "singular": "wall"},
            "scope": "Namespaced",
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
            }],
        },
    })
}
