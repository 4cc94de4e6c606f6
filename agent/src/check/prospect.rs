//! Gathers what going back is judged by, before the first write.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use lifecycle::safety::{Nodes, Prospect, definitions_in_doubt, judge};
use lifecycle::{Fault, Object, Safety};

use crate::definitions;
use crate::placed::Placed;
use crate::work::Work;

/// Of more nodes than this nobody says that they all have an image.
const MOST_NODES: u32 = 100;

/// `from`: what runs, as far as it is retained.
pub async fn safety(
    work: &Work<'_>,
    release: &[Placed],
    from: Option<&[Placed]>,
) -> Result<Safety, Fault> {
    let target = objects(release);
    let from = from.map(objects);
    let mut inhabited = BTreeMap::new();
    for definition in from.iter().flat_map(|from| definitions_in_doubt(from, &target)) {
        let Some(placed) = release.iter().find(|placed| is(placed, &definition.name)) else {
            continue;
        };
        let how = definitions::inhabited(work, placed).await?;
        inhabited.insert(definition.name, how);
    }
    let nodes = nodes(work).await;
    let from = from.as_deref();
    Ok(judge(&Prospect { from, target: &target, inhabited: &inhabited, nodes: &nodes }))
}

fn objects(placed: &[Placed]) -> Vec<Object> {
    placed.iter().map(|placed| placed.object.clone()).collect()
}

fn is(placed: &Placed, definition: &str) -> bool {
    placed.object.kind() == "CustomResourceDefinition" && placed.object.name() == definition
}

/// As the account, which may not be allowed to: then nothing is told.
async fn nodes(work: &Work<'_>) -> Nodes {
    let api: Api<Node> = Api::all(work.client.clone());
    let Ok(found) = api.list(&ListParams::default().limit(MOST_NODES)).await else {
        return Nodes::Untold;
    };
    if found.metadata.continue_.is_some_and(|token| !token.is_empty()) {
        return Nodes::Untold;
    }
    let objects = found.items.iter().filter_map(|node| serde_json::to_value(node).ok());
    Nodes::read(&objects.map(Object).collect::<Vec<_>>())
}
