//! Decides which `ManagedAddOn`s hub-sync may write, and which it has to delete or mark. Pure.

use kube::ResourceExt;
use lifecycle::names::annotation::{MCA_UID, ORPHANED};
use lifecycle::names::label;
use lifecycle::{Fault, ManagedAddOn, Reason, is_klusterlet_owned};

use crate::channels::AddOns;
use crate::hub_state::HubState;
use crate::names::WRITER;

/// A change to a `ManagedAddOn` that follows from the state of its `ManagedClusterAddOn`.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnershipAction {
    /// Delete it: the deletion of its `ManagedClusterAddOn` was observed.
    Delete { name: String, uid: String },
    /// Mark it as orphaned: its `ManagedClusterAddOn` is absent, and no deletion was observed. Absence is not an order.
    Orphan { name: String, uid: String, reason: String },
    /// Let it follow the `ManagedClusterAddOn` of this UID, which is back or has replaced the one before.
    Follow { name: String, uid: String, mca_uid: String },
    /// Remove the marks of hub-sync: the klusterlet owns it, so that a fleet assigns it.
    HandOver { name: String, uid: String },
}

/// Returns the actions that are due, in the order of names, at most one for each `ManagedAddOn`.
pub fn due_actions(hub_state: &HubState, add_ons: &AddOns) -> Vec<OwnershipAction> {
    add_ons.values().filter_map(|add_on| due_action(hub_state, add_on)).collect()
}

fn due_action(hub_state: &HubState, add_on: &ManagedAddOn) -> Option<OwnershipAction> {
    if is_deleting(add_on) {
        return None;
    }
    let is_orphaned = add_on.annotations().contains_key(ORPHANED);
    let (name, uid) = (add_on.name_any(), add_on.uid()?);
    if is_klusterlet_owned(add_on) {
        let is_marked = is_ours(add_on) || is_orphaned;
        return is_marked.then_some(OwnershipAction::HandOver { name, uid });
    }
    if !is_ours(add_on) {
        return None;
    }
    let mca_uid = add_on.annotations().get(MCA_UID)?;
    if hub_state.deleted_uids.contains(mca_uid) {
        return Some(OwnershipAction::Delete { name, uid });
    }
    match hub_state.mcas.get(&name) {
        Some(mca) if mca.is_deleting() => None,
        Some(mca) if is_orphaned || mca.uid() != mca_uid => {
            Some(OwnershipAction::Follow { name, uid, mca_uid: mca.uid().to_owned() })
        }
        Some(_) => None,
        None if hub_state.complete_lists > 0 && !is_orphaned => {
            let reason = absence(&name);
            Some(OwnershipAction::Orphan { name, uid, reason })
        }
        None => None,
    }
}

fn absence(name: &str) -> String {
    format!("the hub has no ManagedClusterAddOn {name}, and its deletion was not observed")
}

/// Returns a fault if a `ManagedAddOn` exists that hub-sync does not own.
pub fn check_writable(existing: Option<&ManagedAddOn>) -> Result<(), Fault> {
    match existing {
        Some(existing) if !is_ours(existing) => Err(Fault::new(
            Reason::NotOurs,
            format!(
                "a ManagedAddOn {} exists that hub-sync did not write; delete one of the two, or label it {}={WRITER}",
                existing.name_any(),
                label::WRITTEN_BY
            ),
        )),
        Some(_) | None => Ok(()),
    }
}

/// Returns whether hub-sync owns it: hub-sync wrote it, or the cluster's owner set the label to hand it over.
fn is_ours(add_on: &ManagedAddOn) -> bool {
    add_on.labels().get(label::WRITTEN_BY).is_some_and(|writer| writer == WRITER)
}

/// Returns whether it was deleted and waits for its finalizers.
pub fn is_deleting(add_on: &ManagedAddOn) -> bool {
    add_on.metadata.deletion_timestamp.is_some()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use kube::runtime::watcher::Event;

    use super::*;
    use crate::fixtures::{followed, local, mca};

    #[test]
    fn an_observed_deletion_deletes_only_the_add_on_that_followed_that_uid() {
        let hub_state =
            hub_state([Event::Apply(mca("metrics", "u1")), Event::Delete(mca("metrics", "u1"))]);
        check(&hub_state, followed("metrics", "u1"), Some(delete()));
        check(&hub_state, followed("metrics", "u0"), Some(orphan()));
        check(&hub_state, local("metrics"), None);
    }

    #[test]
    fn an_object_on_the_hub_that_waits_for_finalizers_counts_as_deleted() {
        let mut deleting = mca("metrics", "u1");
        deleting.metadata.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH.into());
        let hub_state = hub_state([Event::Apply(deleting)]);
        check(&hub_state, followed("metrics", "u1"), Some(delete()));
        check(&hub_state, followed("metrics", "u0"), None);
    }

    #[test]
    fn a_mere_absence_orphans_once() {
        let hub_state = hub_state([]);
        check(&hub_state, followed("metrics", "u1"), Some(orphan()));
        let mut orphaned = followed("metrics", "u1");
        orphaned.annotations_mut().insert(ORPHANED.to_owned(), "why".to_owned());
        check(&hub_state, orphaned, None);
    }

    #[test]
    fn before_the_first_complete_list_absence_means_nothing() {
        check(&HubState::default(), followed("metrics", "u1"), None);
    }

    #[test]
    fn an_object_that_is_back_on_the_hub_is_followed_again() {
        let hub_state = hub_state([Event::Apply(mca("metrics", "u2"))]);
        let follow = OwnershipAction::Follow {
            name: "metrics".to_owned(),
            uid: "metrics-uid".to_owned(),
            mca_uid: "u2".to_owned(),
        };
        check(&hub_state, followed("metrics", "u1"), Some(follow.clone()));
        check(&hub_state, followed("metrics", "u2"), None);
        let mut orphaned = followed("metrics", "u2");
        orphaned.annotations_mut().insert(ORPHANED.to_owned(), "why".to_owned());
        check(&hub_state, orphaned, Some(follow));
    }

    #[test]
    fn the_old_add_on_is_deleted_before_it_follows_a_new_object_of_the_same_name() {
        let hub_state = hub_state([
            Event::Apply(mca("metrics", "u1")),
            Event::Delete(mca("metrics", "u1")),
            Event::Apply(mca("metrics", "u2")),
        ]);
        check(&hub_state, followed("metrics", "u1"), Some(delete()));
    }

    #[test]
    fn an_add_on_that_is_being_deleted_is_left_alone() {
        let hub_state = hub_state([Event::Delete(mca("metrics", "u1"))]);
        let mut deleting = followed("metrics", "u1");
        deleting.metadata.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH.into());
        check(&hub_state, deleting, None);
    }

    #[test]
    fn an_add_on_of_the_klusterlet_is_handed_over() {
        let hand_over =
            OwnershipAction::HandOver { name: "metrics".to_owned(), uid: "metrics-uid".to_owned() };
        let hub_state =
            hub_state([Event::Apply(mca("metrics", "u1")), Event::Delete(mca("metrics", "u1"))]);
        check(
            &hub_state,
            owned_by_the_klusterlet(followed("metrics", "u1")),
            Some(hand_over.clone()),
        );
        let mut orphaned = owned_by_the_klusterlet(local("metrics"));
        check(&hub_state, orphaned.clone(), None);
        orphaned.annotations_mut().insert(ORPHANED.to_owned(), "why".to_owned());
        check(&hub_state, orphaned, Some(hand_over));
    }

    #[test]
    fn only_an_add_on_of_hub_sync_is_writable() {
        assert_eq!(check_writable(None), Ok(()));
        assert_eq!(check_writable(Some(&followed("metrics", "u1"))), Ok(()));
        assert_eq!(check_writable(Some(&local("metrics"))).unwrap_err().reason, Reason::NotOurs);
    }

    fn owned_by_the_klusterlet(mut add_on: ManagedAddOn) -> ManagedAddOn {
        let owner = OwnerReference { kind: "AppliedManifestWork".to_owned(), ..Default::default() };
        add_on.metadata.owner_references = Some(vec![owner]);
        add_on
    }

    /// The state after an empty list and these events.
    fn hub_state(
        events: impl IntoIterator<Item = Event<crate::ocm::ManagedClusterAddOn>>,
    ) -> HubState {
        let listed = [Event::Init, Event::InitDone];
        listed.into_iter().chain(events).fold(HubState::default(), HubState::after)
    }

    fn check(hub_state: &HubState, add_on: ManagedAddOn, expected: Option<OwnershipAction>) {
        let add_ons = Arc::new(BTreeMap::from([("metrics".to_owned(), Arc::new(add_on))]));
        assert_eq!(due_actions(hub_state, &add_ons), Vec::from_iter(expected));
    }

    fn delete() -> OwnershipAction {
        OwnershipAction::Delete { name: "metrics".to_owned(), uid: "metrics-uid".to_owned() }
    }

    fn orphan() -> OwnershipAction {
        OwnershipAction::Orphan {
            name: "metrics".to_owned(),
            uid: "metrics-uid".to_owned(),
            reason: absence("metrics"),
        }
    }
}
