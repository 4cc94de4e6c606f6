//! Nodes without machines: kwok simulates them and the pods on them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Node;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use crate::wait;

/// The life of pods on these nodes.
pub const STAGES: &str = include_str!("nodes/stages.yaml");

/// Creates `node-0`, `node-1`, … and waits until all are ready.
pub async fn add(client: &Client, count: usize) -> Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    for number in 0..count {
        let metadata = ObjectMeta { name: Some(format!("node-{number}")), ..ObjectMeta::default() };
        let node = Node { metadata, ..Node::default() };
        api.create(&PostParams::default(), &node).await.context("create a node")?;
    }
    wait::until("the nodes to be ready", Duration::from_secs(60), || async {
        let nodes = api.list(&Default::default()).await?;
        let ready = nodes.iter().filter(|node| is_ready(node)).count();
        if ready < count {
            bail!("{ready} of {count} nodes are ready");
        }
        Ok(Some(()))
    })
    .await
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
