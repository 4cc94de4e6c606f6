//! The meaning of a `ManagedAddOn`'s deletion: only an order removes what the add-on installed. A missing record on the hub is
//! not an order: the klusterlet also deletes what it applied when its `ManifestWork` is merely missing there (eviction).

use crate::api::ManagedAddOn;
use crate::names::annotation;

/// The kind by which the klusterlet's work agent records and owns what it applied for one `ManifestWork`.
const APPLIED_MANIFEST_WORK: &str = "AppliedManifestWork";

/// The value of the annotation `removal` for an order to uninstall.
pub const ORDERED: &str = "ordered";

/// The value of the annotation `removal` for an eviction.
pub const EVICTED: &str = "evicted";

/// The meaning of a `ManagedAddOn`'s deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionIntent {
    /// The `ManagedAddOn` is not being deleted.
    None,
    /// The klusterlet may have deleted it, and the hub did not confirm an order yet. Nothing changes until then.
    Unconfirmed,
    /// The klusterlet deleted it without an order. All objects stay, and the `ManagedAddOn` is recreated.
    Evicted,
    /// The hub or a user ordered the deletion. The objects of the add-on are removed.
    Ordered,
}

impl DeletionIntent {
    /// Reads the intent: the annotation `removal` decides. Without it, the deletion of a `ManagedAddOn` that the klusterlet
    /// owns is unconfirmed, and any other is an order.
    pub fn read(add_on: &ManagedAddOn) -> Self {
        if add_on.metadata.deletion_timestamp.is_none() {
            return DeletionIntent::None;
        }
        let annotations = add_on.metadata.annotations.as_ref();
        let removal = annotations.and_then(|annotations| annotations.get(annotation::REMOVAL));
        match removal.map(String::as_str) {
            Some(ORDERED) => DeletionIntent::Ordered,
            Some(EVICTED) => DeletionIntent::Evicted,
            Some(_) | None if is_klusterlet_owned(add_on) => DeletionIntent::Unconfirmed,
            Some(_) | None => DeletionIntent::Ordered,
        }
    }
}

/// Returns whether the klusterlet's work agent applied this `ManagedAddOn` and keeps it as the hub's `ManifestWork` has it.
pub fn is_klusterlet_owned(add_on: &ManagedAddOn) -> bool {
    applied_manifest_works(add_on).next().is_some()
}

/// Names and UIDs of the `AppliedManifestWork`s that own this `ManagedAddOn`.
pub fn applied_manifest_works(add_on: &ManagedAddOn) -> impl Iterator<Item = (&str, &str)> {
    let owners = add_on.metadata.owner_references.iter().flatten();
    owners
        .filter(|owner| owner.kind == APPLIED_MANIFEST_WORK)
        .map(|owner| (owner.name.as_str(), owner.uid.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn only_a_deletion_by_the_klusterlet_is_unconfirmed() {
        let work = json!([{"kind": "AppliedManifestWork", "name": "h-w", "uid": "u", "apiVersion": "w/v1"}]);
        let other = json!([{"kind": "ConfigMap", "name": "c", "uid": "u", "apiVersion": "v1"}]);
        let table = [
            (false, &work, None, DeletionIntent::None),
            (true, &json!([]), None, DeletionIntent::Ordered),
            (true, &other, None, DeletionIntent::Ordered),
            (true, &work, None, DeletionIntent::Unconfirmed),
            (true, &work, Some("perhaps"), DeletionIntent::Unconfirmed),
            (true, &work, Some("ordered"), DeletionIntent::Ordered),
            (true, &work, Some("evicted"), DeletionIntent::Evicted),
            (false, &work, Some("evicted"), DeletionIntent::None),
        ];
        for (deleted, owners, removal, expected) in table {
            assert_eq!(
                DeletionIntent::read(&add_on(deleted, owners, removal)),
                expected,
                "{owners} {removal:?}"
            );
        }
    }

    fn add_on(deleted: bool, owners: &Value, removal: Option<&str>) -> ManagedAddOn {
        let annotations = removal.map(|removal| json!({annotation::REMOVAL: removal}));
        let deletion = deleted.then_some("2026-01-01T00:00:00Z");
        serde_json::from_value(json!({
            "apiVersion": "lifecycle.open-cluster-management.io/v1alpha1", "kind": "ManagedAddOn",
            "metadata": {"name": "shop", "ownerReferences": owners, "annotations": annotations, "deletionTimestamp": deletion},
            "spec": {"version": "1.0.0", "source": {}},
        }))
        .unwrap()
    }
}
