//! Limits that the cluster itself sets to objects: quotas, and definitions that are there already.

use anyhow::Result;
use lifecycle::Reason;
use serde_json::{Value, json};
use testbed::bundle::Spec;

use super::running_add_on::{NEW, Running, good};
use crate::harness::Bed;

/// Until there is more room.
pub async fn refuses_what_a_quota_leaves_no_room_for(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "no-room").await?;
    allow_services(&running, 0).await?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    });
    let spec = Spec::inline(NEW, &running.good("new").object(service));
    let words = ["Service no-room/web", "exceeded quota: services"];
    running.refuses(&spec, Reason::QuotaExceeded, &words).await?;
    allow_services(&running, 1).await?;
    running.add_on.annotate("retry", Some("there is room")).await?;
    running.runs(NEW, "new").await
}

/// The bundle brings the definition too, but as it is here already: nothing has to be written to know.
pub async fn refuses_what_a_living_definition_forbids(bed: &Bed) -> Result<()> {
    let running =
        Running::with(bed, "forbidden", good("forbidden", "old").object(colours())).await?;
    let wall = json!({
        "apiVersion": "stories.example.com/v1", "kind": "Wall", "metadata": {"name": "wall"},
        "spec": {"colour": "invisible"},
    });
    let bundle = |setting| running.good(setting).object(colours());
    let spec = Spec::inline(NEW, &bundle("new").object(wall));
    let words = ["Wall forbidden/wall", "spec.colour"];
    running.refuses(&spec, Reason::ObjectRefused, &words).await?;
    running.goes_on_to(&Spec::inline(NEW, &bundle("new")), "new").await
}

/// Returns when the quota is in force.
async fn allow_services(running: &Running<'_>, count: u32) -> Result<()> {
    let plane = &running.managed.plane;
    let namespace = &running.namespace;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "services", "namespace": namespace},
        "spec": {"hard": {"services": count.to_string()}},
    });
    plane.apply_yaml(&quota.to_string()).await?;
    let counted = format!("--for=jsonpath={{.status.hard.services}}={count}");
    let of = ["wait", "resourcequota/services", "--namespace", namespace, "--timeout=120s"];
    plane.kubectl(&[&of[..], &[counted.as_str()]].concat()).await?;
    Ok(())
}

/// Walls are red or blue.
fn colours() -> Value {
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
