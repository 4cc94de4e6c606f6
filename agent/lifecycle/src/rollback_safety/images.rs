//! Images of the running release: a rollback may have no registry in reach, so they should be on the nodes already.

use std::collections::BTreeSet;

use serde_json::Value;

use super::risks::Unknown;
use crate::kind::KnownKind;
use crate::object::Object;

/// The images that nodes report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeImages {
    /// The account may not list the nodes, or there are too many.
    Unknown,
    /// Names of the images on each node that takes pods. A kubelet reports its 50 largest only.
    Known(Vec<BTreeSet<String>>),
}

impl NodeImages {
    /// Reads the images of the nodes that take pods.
    pub fn read(nodes: &[Object]) -> Self {
        let takes_pods =
            |node: &&Object| node.0.pointer("/spec/unschedulable") != Some(&Value::Bool(true));
        NodeImages::Known(nodes.iter().filter(takes_pods).map(node_images).collect())
    }

    fn all_have(&self, image: &str) -> bool {
        match self {
            NodeImages::Unknown => false,
            NodeImages::Known(nodes) => {
                !nodes.is_empty() && nodes.iter().all(|node| node.contains(image))
            }
        }
    }
}

fn node_images(node: &Object) -> BTreeSet<String> {
    let images = node.0.pointer("/status/images").and_then(Value::as_array);
    let names = images.into_iter().flatten().filter_map(|image| image.get("names")?.as_array());
    names.flatten().filter_map(Value::as_str).map(full_name).collect()
}

/// Returns the images that only the running release needs and that are not known to be on every node. A node does not
/// report all of its images, so one that is not reported may still be there.
pub(super) fn judge_images(
    running: &[Object],
    target: &[Object],
    nodes: &NodeImages,
) -> Option<Unknown> {
    let target: BTreeSet<Image> = target.iter().flat_map(images).collect();
    let running: BTreeSet<Image> = running.iter().flat_map(images).collect();
    let is_unknown = |image: &&Image| image.is_always_pulled || !nodes.all_have(&image.name);
    let unknown: Vec<&Image> = running.difference(&target).filter(is_unknown).collect();
    let (first, others) = unknown.split_first()?;
    Some(Unknown::Images { image: first.name.clone(), others: others.len() })
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Image {
    name: String,
    is_always_pulled: bool,
}

/// The images of an object's pods. A rollback does not run a Job again, so those of a Job are not needed.
fn images(object: &Object) -> Vec<Image> {
    let kind = KnownKind::of(object).filter(|kind| *kind != KnownKind::Job);
    let Some(template) = kind.and_then(KnownKind::pod_template) else { return Vec::new() };
    let containers = ["containers", "initContainers"]
        .into_iter()
        .filter_map(|list| object.0.pointer(&format!("{template}/spec/{list}"))?.as_array());
    containers.flatten().filter_map(container_image).collect()
}

fn container_image(container: &Value) -> Option<Image> {
    let name = full_name(container.get("image")?.as_str()?);
    let is_always_pulled = match container.get("imagePullPolicy").and_then(Value::as_str) {
        Some(policy) => policy == "Always",
        None => name.ends_with(":latest"),
    };
    Some(Image { name, is_always_pulled })
}

/// Returns an image's name as nodes report it, with registry and tag.
fn full_name(name: &str) -> String {
    let first = name.split('/').next().unwrap_or_default();
    let has_registry = name.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let prefix = match (has_registry, name.contains('/')) {
        (true, _) => "",
        (false, true) => "docker.io/",
        (false, false) => "docker.io/library/",
    };
    let has_tag =
        name.contains('@') || name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    format!("{prefix}{name}{}", if has_tag { "" } else { ":latest" })
}
