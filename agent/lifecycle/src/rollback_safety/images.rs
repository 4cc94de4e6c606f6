//! Whether the images of what runs are still on the nodes: going back may have no registry in reach.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Unknown;
use crate::kind::KnownKind;
use crate::object::Object;

/// What the nodes say of their images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// The account may not list them.
    Untold,
    /// The names of images by node; a kubelet tells of its 50 largest only.
    Hold(Vec<BTreeSet<String>>),
}

impl Nodes {
    /// Of nodes that take pods.
    pub fn read(nodes: &[Object]) -> Self {
        let takes =
            |node: &&Object| node.0.pointer("/spec/unschedulable") != Some(&Value::Bool(true));
        Nodes::Hold(nodes.iter().filter(takes).map(names).collect())
    }

    fn all_have(&self, image: &str) -> bool {
        match self {
            Nodes::Untold => false,
            Nodes::Hold(nodes) => {
                !nodes.is_empty() && nodes.iter().all(|node| node.contains(image))
            }
        }
    }
}

fn names(node: &Object) -> BTreeSet<String> {
    let images = node.0.pointer("/status/images").and_then(Value::as_array);
    let names = images.into_iter().flatten().filter_map(|image| image.get("names")?.as_array());
    names.flatten().filter_map(Value::as_str).map(full).collect()
}

/// Returns the images that are not known to be on every node. A node does not list all of its images, so an unlisted one
/// may still be there.
pub(super) fn unknown(from: &[Object], target: &[Object], nodes: &Nodes) -> Option<Unknown> {
    let needed_anyway: BTreeSet<Image> = target.iter().flat_map(of).collect();
    let old: BTreeSet<Image> = from.iter().flat_map(of).collect();
    let untold = |image: &&Image| {
        !needed_anyway.contains(image) && (image.always_pulled || !nodes.all_have(&image.name))
    };
    let untold: Vec<&Image> = old.iter().filter(untold).collect();
    let (first, others) = untold.split_first()?;
    Some(Unknown::Images { image: first.name.clone(), others: others.len() })
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Image {
    name: String,
    always_pulled: bool,
}

/// A Job is not run again on the way back, so its images are not needed.
fn of(object: &Object) -> Vec<Image> {
    let kind = KnownKind::of(object).filter(|kind| *kind != KnownKind::Job);
    let Some(template) = kind.and_then(KnownKind::pod_template) else { return Vec::new() };
    let containers = ["containers", "initContainers"]
        .into_iter()
        .filter_map(|list| object.0.pointer(&format!("{template}/spec/{list}"))?.as_array());
    containers.flatten().filter_map(image).collect()
}

fn image(container: &Value) -> Option<Image> {
    let name = full(container.get("image")?.as_str()?);
    let always_pulled = match container.get("imagePullPolicy").and_then(Value::as_str) {
        Some(policy) => policy == "Always",
        None => name.ends_with(":latest"),
    };
    Some(Image { name, always_pulled })
}

/// As nodes name images: with registry and tag.
fn full(name: &str) -> String {
    let first = name.split('/').next().unwrap_or_default();
    let has_registry = name.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let prefix = match (has_registry, name.contains('/')) {
        (true, _) => "",
        (false, true) => "docker.io/",
        (false, false) => "docker.io/library/",
    };
    let tagged =
        name.contains('@') || name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    format!("{prefix}{name}{}", if tagged { "" } else { ":latest" })
}
