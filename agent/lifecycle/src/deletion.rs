//! Whether the deletion of a `ManagedAddOn` is an order to remove what it installed. Absence is not an order: the
//! klusterlet also deletes what it brought when its record on the hub is merely missing.

use crate::api::ManagedAddOn;
use crate::names::annotation;

/// The klusterlet's record of what it brought; it is the owner of that.
const RECORD: &str = "AppliedManifestWork";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionIntent {
    /// It is not being deleted.
    None,
    /// The klusterlet may have deleted it, and the hub was not asked yet: until then nothing changes.
    Unconfirmed,
    /// The klusterlet deleted it, and nobody ordered that: everything stays, and it is made anew.
    Evicted,
    /// What it installed is to be removed.
    Ordered,
}

impl DeletionIntent {
    pub fn of(add_on: &ManagedAddOn) -> Self {
        if add_on.metadata.deletion_timestamp.is_none() {
            return DeletionIntent::None;
        }
        let annotations = add_on.metadata.annotations.as_ref();
        let said = annotations.and_then(|all| all.get(annotation::REMOVAL));
        match said.map(String::as_str) {
            Some(ORDERED) => DeletionIntent::Ordered,
            Some(EVICTED) => DeletionIntent::Evicted,
            Some(_) | None if is_the_klusterlets(add_on) => DeletionIntent::Unconfirmed,
            Some(_) | None => DeletionIntent::Ordered,
        }
    }
}

/// Values of the annotation `removal`.
pub const ORDERED: &str = "ordered";
pub const EVICTED: &str = "evicted";

/// The klusterlet's work agent brought it, and keeps it as the hub says.
pub fn is_the_klusterlets(add_on: &ManagedAddOn) -> bool {
    records(add_on).next().is_some()
}

/// Names and UIDs of the klusterlet's records that own it.
pub fn records(add_on: &ManagedAddOn) -> impl Iterator<Item = (&str, &str)> {
    let owners = add_on.metadata.owner_references.iter().flatten();
    owners
        .filter(|owner| owner.kind == RECORD)
        .map(|owner| (owner.name.as_str(), owner.uid.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn only_what_the_klusterlet_deletes_is_in_doubt() {
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
        for (deleted, owners, said, expected) in table {
            assert_eq!(
                DeletionIntent::of(&add_on(deleted, owners, said)),
                expected,
                "{owners} {said:?}"
            );
        }
    }

    fn add_on(deleted: bool, owners: &Value, said: Option<&str>) -> ManagedAddOn {
        let annotations = said.map(|said| json!({annotation::REMOVAL: said}));
        let deletion = deleted.then_some("2026-01-01T00:00:00Z");
        serde_json::from_value(json!({
            "apiVersion": "lifecycle.open-cluster-management.io/v1alpha1", "kind": "ManagedAddOn",
            "metadata": {"name": "shop", "ownerReferences": owners, "annotations": annotations, "deletionTimestamp": deletion},
            "spec": {"version": "1.0.0", "source": {}},
        }))
        .unwrap()
    }
}
