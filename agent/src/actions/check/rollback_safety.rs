//! Gathers the facts by which rollback safety is judged, before the first write.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use lifecycle::rollback_safety::{Inhabited, Nodes, RollbackContext, definitions_in_doubt, judge};
use lifecycle::{Fault, Object, ObjectKey, RollbackSafety};

use crate::actions::bundle_provides::BundleProvides;
use crate::actions::release::ResolvedRelease;
use crate::cluster::access::Access;
use crate::cluster::crd_instances;
use crate::cluster::living::to_object;

/// Above this many nodes, image presence is reported as unknown.
const MAX_NODES: u32 = 100;

/// Judges a rollback from `release` to `running`, as far as that is retained. `foreign` are the living objects that the
/// add-on did not bring.
pub async fn assess(
    release: &ResolvedRelease,
    running: Option<&ResolvedRelease>,
    foreign: &BTreeSet<ObjectKey>,
) -> Result<RollbackSafety, Fault> {
    let target: Vec<Object> = release.manifests().cloned().collect();
    let from: Option<Vec<Object>> = running.map(|running| running.manifests().cloned().collect());
    let inhabited = match &from {
        Some(from) => instances_in_doubt(release, from, &target).await?,
        None => BTreeMap::new(),
    };
    Ok(judge(&RollbackContext {
        from: from.as_deref(),
        target: &target,
        inhabited: &inhabited,
        taken_over: &adopted(&target, from.as_deref().unwrap_or_default(), foreign),
        unserved: &running.map(unserved).unwrap_or_default(),
        nodes: &list_nodes(&release.access).await,
    }))
}

/// Returns whether foreign objects exist of the definitions that a rollback could narrow.
async fn instances_in_doubt(
    release: &ResolvedRelease,
    from: &[Object],
    target: &[Object],
) -> Result<BTreeMap<String, Inhabited>, Fault> {
    let mut inhabited = BTreeMap::new();
    for definition in definitions_in_doubt(from, target) {
        let mut definitions = release.objects.iter().filter(|object| object.is_definition());
        let Some(object) = definitions.find(|object| object.name() == definition.name) else {
            continue;
        };
        let living = release.access.read(object).await?;
        let answer = crd_instances::has_foreign_instances(&release.access, living.as_ref()).await?;
        inhabited.insert(definition.name, answer);
    }
    Ok(inhabited)
}

/// Returns objects of a kind or version that neither the API server nor the release itself has.
fn unserved(running: &ResolvedRelease) -> Vec<Object> {
    let provides: BundleProvides = running.manifests().collect();
    let unknown = running.objects.iter().filter(|object| object.kind.is_none());
    let manifests = unknown.map(|object| &object.manifest);
    manifests.filter(|manifest| !provides.defines(manifest)).cloned().collect()
}

/// Returns the foreign objects that only the target has.
fn adopted(target: &[Object], from: &[Object], foreign: &BTreeSet<ObjectKey>) -> Vec<ObjectKey> {
    let before: BTreeSet<ObjectKey> = from.iter().map(Object::key).collect();
    let added = target.iter().map(Object::key).filter(|key| !before.contains(key));
    added.filter(|key| foreign.contains(key)).collect()
}

/// Lists the nodes as the account, which may lack the right. Then nothing is known of them.
async fn list_nodes(access: &Access) -> Nodes {
    let api: Api<Node> = Api::all(access.client.clone());
    let Ok(nodes) = api.list(&ListParams::default().limit(MAX_NODES)).await else {
        return Nodes::Untold;
    };
    if nodes.metadata.continue_.is_some_and(|token| !token.is_empty()) {
        return Nodes::Untold;
    }
    Nodes::read(&nodes.items.iter().map(to_object).collect::<Vec<_>>())
}
