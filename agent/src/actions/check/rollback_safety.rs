//! Gathers what going back is judged by, before the first write.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use lifecycle::ownership::adoption;
use lifecycle::rollback_safety::{Nodes, RollbackContext, definitions_in_doubt, judge};
use lifecycle::{Fault, Object, ObjectKey, RollbackSafety};

use crate::cluster::access::{Access, Living, each};
use crate::cluster::crd_instances;
use crate::cluster::resolved::{BundleProvides, ResolvedObject};

/// Of more nodes than this nobody says that they all have an image.
const MOST_NODES: u32 = 100;

/// `from`: what runs, as far as it is retained.
pub async fn safety(
    access: &Access<'_>,
    release: &[ResolvedObject],
    from: Option<&[ResolvedObject]>,
) -> Result<RollbackSafety, Fault> {
    let target = objects(release);
    let unserved = unserved(from.unwrap_or_default());
    let from = from.map(objects);
    let mut inhabited = BTreeMap::new();
    for definition in from.iter().flat_map(|from| definitions_in_doubt(from, &target)) {
        let Some(placed) = release.iter().find(|placed| is(placed, &definition.name)) else {
            continue;
        };
        let how = crd_instances::inhabited(access, placed).await?;
        inhabited.insert(definition.name, how);
    }
    let nodes = nodes(access).await;
    let taken_over = taken_over(access, release, from.as_deref().unwrap_or_default()).await?;
    Ok(judge(&RollbackContext {
        from: from.as_deref(),
        target: &target,
        inhabited: &inhabited,
        taken_over: &taken_over,
        unserved: &unserved,
        nodes: &nodes,
    }))
}

/// Of a kind or a version of it that the API server does not know, and that the release itself does not define.
fn unserved(running: &[ResolvedObject]) -> Vec<Object> {
    let brought = BundleProvides::by(running.iter().map(|placed| &placed.object));
    let unknown = running.iter().filter(|placed| placed.kind.is_none());
    let unknown = unknown.filter(|placed| !brought.defines(&placed.object));
    unknown.map(|placed| placed.object.clone()).collect()
}

/// What lives of what only the target has, and was not made by this add-on.
async fn taken_over(
    access: &Access<'_>,
    release: &[ResolvedObject],
    from: &[Object],
) -> Result<Vec<ObjectKey>, Fault> {
    let before: BTreeSet<ObjectKey> = from.iter().map(Object::key).collect();
    let new = release
        .iter()
        .filter(|placed| placed.kind.is_some() && !before.contains(&placed.object.key()));
    let looks = new.map(|placed| async { (access.living(placed).await, placed.object.key()) });
    let mut found = Vec::new();
    for (living, key) in each(looks).await {
        found.extend(living?.filter(|living| is_of_others(access, living)).map(|_| key));
    }
    Ok(found)
}

fn is_of_others(access: &Access<'_>, living: &Living) -> bool {
    let stays = adoption::stays(living.taken_over_by(), access.available.as_ref());
    living.owner().is_none() || stays.is_some()
}

fn objects(placed: &[ResolvedObject]) -> Vec<Object> {
    placed.iter().map(|placed| placed.object.clone()).collect()
}

fn is(placed: &ResolvedObject, definition: &str) -> bool {
    placed.object.kind() == "CustomResourceDefinition" && placed.object.name() == definition
}

/// As the account, which may not be allowed to: then nothing is told.
async fn nodes(access: &Access<'_>) -> Nodes {
    let api: Api<Node> = Api::all(access.client.clone());
    let Ok(found) = api.list(&ListParams::default().limit(MOST_NODES)).await else {
        return Nodes::Untold;
    };
    if found.metadata.continue_.is_some_and(|token| !token.is_empty()) {
        return Nodes::Untold;
    }
    let objects = found.items.iter().filter_map(|node| serde_json::to_value(node).ok());
    Nodes::read(&objects.map(Object).collect::<Vec<_>>())
}
