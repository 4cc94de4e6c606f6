//! Gathers the facts by which rollback safety is judged, before the first write.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use lifecycle::rollback_safety::{
    Instances, NodeImages, RollbackContext, judge_rollback, narrowed_definitions,
};
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
    let instances = match &from {
        Some(from) => foreign_instances(release, from, &target).await?,
        None => BTreeMap::new(),
    };
    Ok(judge_rollback(&RollbackContext {
        running: from.as_deref(),
        target: &target,
        instances: &instances,
        adopted: &adopted(&target, from.as_deref().unwrap_or_default(), foreign),
        unserved: &running.map(unserved).unwrap_or_default(),
        nodes: &list_nodes(&release.access).await,
    }))
}

/// Returns whether there are foreign instances of the definitions that a rollback would narrow.
async fn foreign_instances(
    release: &ResolvedRelease,
    from: &[Object],
    target: &[Object],
) -> Result<BTreeMap<String, Instances>, Fault> {
    let mut instances = BTreeMap::new();
    for definition in narrowed_definitions(from, target) {
        let mut definitions = release.objects.iter().filter(|object| object.is_definition());
        let Some(object) = definitions.find(|object| object.name() == definition.name) else {
            continue;
        };
        let living = release.access.read(object).await?;
        let answer = crd_instances::has_foreign_instances(&release.access, living.as_ref()).await?;
        instances.insert(definition.name, answer);
    }
    Ok(instances)
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
async fn list_nodes(access: &Access) -> NodeImages {
    let api: Api<Node> = Api::all(access.client.clone());
    let Ok(nodes) = api.list(&ListParams::default().limit(MAX_NODES)).await else {
        return NodeImages::Unknown;
    };
    if nodes.metadata.continue_.is_some_and(|token| !token.is_empty()) {
        return NodeImages::Unknown;
    }
    NodeImages::read(&nodes.items.iter().map(to_object).collect::<Vec<_>>())
}
