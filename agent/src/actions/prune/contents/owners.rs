//! Follows ownerReferences: an object that was created for one of ours goes with it, and one of a deleted owner goes soon.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// The listed objects of a namespace.
#[derive(Default)]
pub struct Found {
    pub items: Vec<Item>,
    /// Group and kind of all that were listed.
    pub kinds: BTreeSet<(String, String)>,
    /// Kinds, rests of kinds, and APIs that could not be listed.
    pub unreadable: Vec<String>,
}

pub struct Item {
    pub uid: String,
    pub owners: Vec<Owner>,
    pub is_ours: bool,
}

pub struct Owner {
    uid: String,
    /// Group and kind.
    kind: (String, String),
}

impl From<&OwnerReference> for Owner {
    fn from(reference: &OwnerReference) -> Self {
        let group = reference.api_version.split_once('/').map_or("", |(group, _)| group);
        Self { uid: reference.uid.clone(), kind: (group.to_owned(), reference.kind.clone()) }
    }
}

impl Found {
    /// Counts the objects from which no chain of owners leads to one of ours or to a deleted one.
    pub fn count_foreign(&self) -> usize {
        let existing: BTreeSet<&str> = self.items.iter().map(|item| item.uid.as_str()).collect();
        let mut ours: BTreeSet<&str> = BTreeSet::new();
        loop {
            let more = self.items.iter().filter(|item| {
                item.is_ours
                    || self.is_orphaned(item, &existing)
                    || item.owners.iter().any(|owner| ours.contains(owner.uid.as_str()))
            });
            let more: BTreeSet<&str> = more.map(|item| item.uid.as_str()).collect();
            if more.len() == ours.len() {
                return self.items.len() - more.len();
            }
            ours = more;
        }
    }

    /// Returns whether all owners were deleted, as a Deployment a moment ago: Kubernetes collects the object soon. An owner
    /// of a kind that was not listed may exist anywhere.
    fn is_orphaned(&self, item: &Item, existing: &BTreeSet<&str>) -> bool {
        let is_deleted = |owner: &Owner| {
            self.kinds.contains(&owner.kind) && !existing.contains(owner.uid.as_str())
        };
        !item.owners.is_empty() && item.owners.iter().all(is_deleted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: (&str, &str) = ("apps", "Deployment");

    fn item(uid: &str, owner: Option<&str>, is_ours: bool) -> Item {
        let kind = (LISTED.0.to_owned(), LISTED.1.to_owned());
        let owners = owner.map(|uid| Owner { uid: uid.to_owned(), kind });
        Item { uid: uid.to_owned(), owners: owners.into_iter().collect(), is_ours }
    }

    fn found(items: Vec<Item>) -> Found {
        let kinds = BTreeSet::from([(LISTED.0.to_owned(), LISTED.1.to_owned())]);
        Found { items, kinds, unreadable: Vec::new() }
    }

    #[test]
    fn objects_created_for_ours_are_ours_and_objects_created_for_foreign_ones_are_foreign() {
        let items = vec![
            item("pod", Some("replica-set"), false),
            item("replica-set", Some("deployment"), false),
            item("deployment", None, true),
            item("theirs", None, false),
            item("made-for-theirs", Some("theirs"), false),
        ];
        assert_eq!(found(items).count_foreign(), 2);
    }

    #[test]
    fn objects_of_a_deleted_owner_are_not_foreign() {
        let items = || {
            vec![item("pod", Some("replica-set"), false), item("replica-set", Some("gone"), false)]
        };
        assert_eq!(found(items()).count_foreign(), 0);
        // An owner of a kind that was not listed, such as a cluster-scoped one, may exist.
        assert_eq!(Found { kinds: BTreeSet::new(), ..found(items()) }.count_foreign(), 2);
    }
}
