//! The state of this cluster's add-ons on the hub, computed from the events of the watch. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::runtime::watcher::Event;

use crate::ocm::ManagedClusterAddOn;

/// The state of the hub from which every task works. It stays as it is while the hub cannot be reached.
#[derive(Clone, Debug, Default)]
pub struct HubState {
    /// The newest version of each `ManagedClusterAddOn`, by name.
    pub mcas: BTreeMap<String, Arc<ManagedClusterAddOn>>,
    /// UIDs of those whose deletion was observed. Only that is an order to delete; absence is not.
    pub deleted_uids: BTreeSet<String>,
    /// Number of complete lists so far. Before the first one absence means nothing at all.
    pub complete_lists: u64,
    /// A list that is not complete yet.
    partial_list: BTreeMap<String, Arc<ManagedClusterAddOn>>,
}

impl HubState {
    /// Returns the state after an event.
    pub fn after(mut self, event: Event<ManagedClusterAddOn>) -> Self {
        match event {
            Event::Init => self.partial_list.clear(),
            Event::InitApply(mca) => {
                // A list is never stale: its objects exist, also those that a backup restored.
                self.deleted_uids.remove(mca.uid());
                self.record_deletion(&mca);
                self.partial_list.insert(mca.name().to_owned(), Arc::new(mca));
            }
            Event::InitDone => {
                self.mcas = std::mem::take(&mut self.partial_list);
                self.complete_lists += 1;
            }
            Event::Apply(mca) if self.is_stale(&mca) => {}
            Event::Apply(mca) => {
                self.record_deletion(&mca);
                self.mcas.insert(mca.name().to_owned(), Arc::new(mca));
            }
            Event::Delete(mca) => {
                self.deleted_uids.insert(mca.uid().to_owned());
                self.mcas.remove(mca.name());
            }
        }
        self
    }

    /// A watch may go back in time. It undoes no deletion, and an older spec does not replace a newer one.
    fn is_stale(&self, mca: &ManagedClusterAddOn) -> bool {
        let known = self.mcas.get(mca.name()).filter(|known| known.uid() == mca.uid());
        self.deleted_uids.contains(mca.uid()) && !mca.is_deleting()
            || known.is_some_and(|known| known.metadata.generation > mca.metadata.generation)
    }

    /// An object that waits for its finalizers counts as deleted.
    fn record_deletion(&mut self, mca: &ManagedClusterAddOn) {
        if mca.is_deleting() {
            self.deleted_uids.insert(mca.uid().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::mca;

    #[test]
    fn an_observed_deletion_is_remembered_by_uid() {
        let hub_state = [
            Event::Init,
            Event::InitApply(mca("metrics", "u1")),
            Event::InitDone,
            Event::Delete(mca("metrics", "u1")),
            Event::Apply(mca("metrics", "u2")),
        ];
        let hub_state = hub_state.into_iter().fold(HubState::default(), HubState::after);
        assert_eq!(hub_state.deleted_uids, BTreeSet::from(["u1".to_owned()]));
        assert_eq!(hub_state.mcas["metrics"].uid(), "u2");
    }

    #[test]
    fn a_stale_event_restores_nothing_but_a_list_does() {
        let listed = || [Event::Init, Event::InitApply(mca("metrics", "u1")), Event::InitDone];
        let stale = [Event::Delete(mca("metrics", "u1")), Event::Apply(mca("metrics", "u1"))];
        let hub_state =
            listed().into_iter().chain(stale).fold(HubState::default(), HubState::after);
        assert!(hub_state.mcas.is_empty() && hub_state.deleted_uids.contains("u1"));
        let restored = listed().into_iter().fold(hub_state, HubState::after);
        assert!(restored.mcas.contains_key("metrics") && restored.deleted_uids.is_empty());
    }

    #[test]
    fn an_older_spec_counts_in_a_list_but_not_in_a_watch() {
        let at = |generation: i64| {
            let mut mca = mca("metrics", "u1");
            mca.metadata.generation = Some(generation);
            mca
        };
        let generation = |hub_state: &HubState| hub_state.mcas["metrics"].metadata.generation;
        let stale = [Event::Apply(at(2)), Event::Apply(at(1))];
        let hub_state = stale.into_iter().fold(HubState::default(), HubState::after);
        assert_eq!(generation(&hub_state), Some(2));
        let restored = [Event::Init, Event::InitApply(at(1)), Event::InitDone];
        let restored = restored.into_iter().fold(hub_state, HubState::after);
        assert_eq!(generation(&restored), Some(1));
    }

    #[test]
    fn absence_from_a_list_is_no_deletion() {
        let events = [
            Event::Init,
            Event::InitApply(mca("metrics", "u1")),
            Event::InitDone,
            Event::Init,
            Event::InitDone,
        ];
        let hub_state = events.into_iter().fold(HubState::default(), HubState::after);
        assert!(hub_state.deleted_uids.is_empty());
        assert!(hub_state.mcas.is_empty());
        assert_eq!(hub_state.complete_lists, 2);
    }

    #[test]
    fn an_interrupted_list_changes_nothing() {
        let events = [
            Event::Init,
            Event::InitApply(mca("metrics", "u1")),
            Event::InitDone,
            Event::Init,
            Event::InitApply(mca("logs", "u2")),
            Event::Init,
        ];
        let hub_state = events.into_iter().fold(HubState::default(), HubState::after);
        assert_eq!(hub_state.mcas.keys().collect::<Vec<_>>(), ["metrics"]);
        assert_eq!(hub_state.complete_lists, 1);
    }

    #[test]
    fn an_object_that_waits_for_finalizers_counts_as_deleted() {
        let mut deleting = mca("metrics", "u1");
        deleting.metadata.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH.into());
        let hub_state = HubState::default().after(Event::Apply(deleting));
        assert!(hub_state.deleted_uids.contains("u1"));
    }
}
