//! Which `ManagedAddOn`s may be written, deleted or marked, and when. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;
use lifecycle::names::annotation::{MCA_UID, ORPHANED};
use lifecycle::names::label;
use lifecycle::{Fault, ManagedAddOn, Reason, is_klusterlet_owned};

use crate::hub_state::HubState;
use crate::names::WRITER;

/// What has to be done to a `ManagedAddOn` because of what became of its `ManagedClusterAddOn`.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Its `ManagedClusterAddOn` was deleted before our eyes.
    Delete { name: String, uid: String },
    /// Its `ManagedClusterAddOn` is not there, and nobody saw why. Absence is not an order.
    Orphan { name: String, uid: String, why: String },
    /// There is a `ManagedClusterAddOn` again, or another one than before: it is the one to follow.
    Follow { name: String, uid: String, mca_uid: String },
    /// The klusterlet keeps it: it follows no `ManagedClusterAddOn` of itself, and somebody asks for it.
    HandOver { name: String, uid: String },
}

/// In the order of names; none twice for the same `ManagedAddOn`.
pub fn acts(hub: &HubState, add_ons: &BTreeMap<String, Arc<ManagedAddOn>>) -> Vec<Act> {
    add_ons.values().filter_map(|add_on| act(hub, add_on)).collect()
}

fn act(hub: &HubState, add_on: &ManagedAddOn) -> Option<Act> {
    if is_deleting(add_on) {
        return None;
    }
    let orphaned = add_on.annotations().contains_key(ORPHANED);
    if is_klusterlet_owned(add_on) {
        return (is_ours(add_on) || orphaned)
            .then_some(Act::HandOver { name: add_on.name_any(), uid: add_on.uid()? });
    }
    if !is_ours(add_on) {
        return None;
    }
    let followed = add_on.annotations().get(MCA_UID)?;
    let (name, uid) = (add_on.name_any(), add_on.uid()?);
    if hub.deleted.contains(followed) {
        return Some(Act::Delete { name, uid });
    }
    match hub.mcas.get(&name) {
        Some(mca) if mca.is_deleting() => None,
        Some(mca) if orphaned || mca.uid() != followed => {
            Some(Act::Follow { name, uid, mca_uid: mca.uid().to_owned() })
        }
        Some(_) => None,
        None if hub.lists > 0 && !orphaned => {
            let why =
                format!("no ManagedClusterAddOn {name} on the hub; its deletion was not seen");
            Some(Act::Orphan { name, uid, why })
        }
        None => None,
    }
}

/// Refuses to write over what others made.
pub fn permit(existing: Option<&ManagedAddOn>) -> Result<(), Fault> {
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

/// Hub-sync wrote it, or its owner gave it to hub-sync by the label.
pub fn is_ours(add_on: &ManagedAddOn) -> bool {
    add_on.labels().get(label::WRITTEN_BY).is_some_and(|writer| writer == WRITER)
}

pub fn is_deleting(add_on: &ManagedAddOn) -> bool {
    add_on.metadata.deletion_timestamp.is_some()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use kube::runtime::watcher::Event;

    use super::*;
    use crate::fixtures::{followed, local, mca};

    #[test]
    fn a_deletion_seen_of_the_uid_known_deletes() {
        let hub = hub([Event::Apply(mca("metrics", "u1")), Event::Delete(mca("metrics", "u1"))]);
        check(&hub, followed("metrics", "u1"), Some(delete()));
        check(&hub, followed("metrics", "u0"), Some(orphan()));
        check(&hub, local("metrics"), None);
    }

    #[test]
    fn what_goes_away_on_the_hub_is_as_good_as_deleted() {
        let mut going = mca("metrics", "u1");
        going.metadata.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH.into());
        let hub = hub([Event::Apply(going)]);
        check(&hub, followed("metrics", "u1"), Some(delete()));
        check(&hub, followed("metrics", "u0"), None);
    }

    #[test]
    fn what_is_merely_absent_is_orphaned_once() {
        let hub = hub([]);
        check(&hub, followed("metrics", "u1"), Some(orphan()));
        let mut known = followed("metrics", "u1");
        known.annotations_mut().insert(ORPHANED.to_owned(), "why".to_owned());
        check(&hub, known, None);
    }

    #[test]
    fn before_the_first_list_absence_says_nothing() {
        check(&HubState::default(), followed("metrics", "u1"), None);
    }

    #[test]
    fn what_came_back_is_followed_again() {
        let hub = hub([Event::Apply(mca("metrics", "u2"))]);
        let follow = Act::Follow {
            name: "metrics".to_owned(),
            uid: "metrics-uid".to_owned(),
            mca_uid: "u2".to_owned(),
        };
        check(&hub, followed("metrics", "u1"), Some(follow.clone()));
        check(&hub, followed("metrics", "u2"), None);
        let mut orphaned = followed("metrics", "u2");
        orphaned.annotations_mut().insert(ORPHANED.to_owned(), "why".to_owned());
        check(&hub, orphaned, Some(follow));
    }

    #[test]
    fn the_old_one_goes_before_its_successor_is_followed() {
        let hub = hub([
            Event::Apply(mca("metrics", "u1")),
            Event::Delete(mca("metrics", "u1")),
            Event::Apply(mca("metrics", "u2")),
        ]);
        check(&hub, followed("metrics", "u1"), Some(delete()));
    }

    #[test]
    fn what_is_going_already_is_left_alone() {
        let hub = hub([Event::Delete(mca("metrics", "u1"))]);
        let mut going = followed("metrics", "u1");
        going.metadata.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH.into());
        check(&hub, going, None);
    }

    #[test]
    fn what_the_klusterlet_keeps_is_handed_over() {
        let hand_over = Act::HandOver { name: "metrics".to_owned(), uid: "metrics-uid".to_owned() };
        let gone = hub([Event::Apply(mca("metrics", "u1")), Event::Delete(mca("metrics", "u1"))]);
        check(&gone, kept_by_the_klusterlet(followed("metrics", "u1")), Some(hand_over.clone()));
        let mut orphaned = kept_by_the_klusterlet(local("metrics"));
        check(&gone, orphaned.clone(), None);
        orphaned.annotations_mut().insert(ORPHANED.to_owned(), "why".to_owned());
        check(&gone, orphaned, Some(hand_over));
    }

    fn kept_by_the_klusterlet(mut add_on: ManagedAddOn) -> ManagedAddOn {
        let owner = OwnerReference { kind: "AppliedManifestWork".to_owned(), ..Default::default() };
        add_on.metadata.owner_references = Some(vec![owner]);
        add_on
    }

    #[test]
    fn only_what_hub_sync_wrote_may_be_written() {
        assert_eq!(permit(None), Ok(()));
        assert_eq!(permit(Some(&followed("metrics", "u1"))), Ok(()));
        assert_eq!(permit(Some(&local("metrics"))).unwrap_err().reason, Reason::NotOurs);
    }

    /// After an empty list and these events.
    fn hub(events: impl IntoIterator<Item = Event<crate::ocm::ManagedClusterAddOn>>) -> HubState {
        let listed = [Event::Init, Event::InitDone];
        listed.into_iter().chain(events).fold(HubState::default(), HubState::after)
    }

    fn check(hub: &HubState, add_on: ManagedAddOn, expected: Option<Act>) {
        let add_ons = BTreeMap::from([("metrics".to_owned(), Arc::new(add_on))]);
        assert_eq!(acts(hub, &add_ons), Vec::from_iter(expected));
    }

    fn delete() -> Act {
        Act::Delete { name: "metrics".to_owned(), uid: "metrics-uid".to_owned() }
    }

    fn orphan() -> Act {
        Act::Orphan {
            name: "metrics".to_owned(),
            uid: "metrics-uid".to_owned(),
            why: "no ManagedClusterAddOn metrics on the hub; its deletion was not seen".to_owned(),
        }
    }
}
