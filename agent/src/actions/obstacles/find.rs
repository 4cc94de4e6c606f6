//! Reads the webhook configurations and policies of the cluster, with the rights of the add-on.

use kube::api::{Api, ListParams};
use kube::core::DynamicObject;
use lifecycle::{Fault, Object};
use serde_json::json;

use crate::cluster::access::Access;
use crate::cluster::error;
use crate::cluster::kinds::Kind;
use crate::cluster::living::to_object;
use crate::cluster::resolved::ResolvedObject;

const CONFIGURATIONS: [&str; 2] =
    ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"];

/// Returns the living webhook configurations with an entry of this name.
pub async fn configurations(access: &Access, webhook: &str) -> Result<Vec<ResolvedObject>, Fault> {
    let mut found = Vec::new();
    for kind in CONFIGURATIONS {
        let Some(kind) = look_up(access, kind).await? else { continue };
        let configurations = api(access, &kind).list(&ListParams::default()).await;
        let configurations = configurations.map_err(|error| {
            error::to_fault("webhook configurations could not be listed", &error)
        })?;
        let living = configurations.into_iter().map(|living| resolved(living, &kind));
        found.extend(living.filter(|living| position(&living.manifest, webhook).is_some()));
    }
    Ok(found)
}

/// Returns the living policy or binding of this name.
pub async fn policy(
    access: &Access,
    kind: &str,
    name: &str,
) -> Result<Option<ResolvedObject>, Fault> {
    let Some(kind) = look_up(access, kind).await? else { return Ok(None) };
    let found = api(access, &kind).get_opt(name).await;
    let found = found.map_err(|error| error::to_fault("a policy could not be read", &error))?;
    Ok(found.map(|living| resolved(living, &kind)))
}

/// Returns the position of the entry of this name.
pub fn position(configuration: &Object, webhook: &str) -> Option<usize> {
    let entries = configuration.0.get("webhooks")?.as_array()?;
    entries.iter().position(|entry| entry["name"] == webhook)
}

fn api(access: &Access, kind: &Kind) -> Api<DynamicObject> {
    kind.api(access.client.clone(), None)
}

async fn look_up(access: &Access, kind: &str) -> Result<Option<Kind>, Fault> {
    let object = Object(json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind}));
    let found = access.cluster.kinds().get_any_version(&object).await;
    found.map_err(|error| error::to_fault("could not look up kinds of admission", &error))
}

/// Items of a list have neither API version nor kind.
fn resolved(living: DynamicObject, kind: &Kind) -> ResolvedObject {
    let mut manifest = to_object(living);
    manifest.0["apiVersion"] = json!(kind.resource.api_version);
    manifest.0["kind"] = json!(kind.resource.kind);
    let kind = Some(kind.clone());
    ResolvedObject { manifest, kind, other_version: None, ignored_fields: Vec::new() }
}
