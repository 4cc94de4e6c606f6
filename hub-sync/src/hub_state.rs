//! What the hub says of this cluster's add-ons, as far as it was seen. Pure: events go in, a picture comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::runtime::watcher::Event;

use crate::ocm::ManagedClusterAddOn;

/// The picture that everyone here works from.
#[derive(Clone, Debug, Default)]
pub struct HubState {
    /// By name, the newest seen of each. Kept while the hub is away.
    pub mcas: BTreeMap<String, Arc<ManagedClusterAddOn>>,
    /// UIDs of those whose deletion was seen. Only this is an order to delete; being absent is none.
    pub deleted: BTreeSet<String>,
    /// How often the list was complete: before the first time absence means nothing at all.
    pub lists: u64,
    /// A list that is not complete yet.
    coming: BTreeMap<String, Arc<ManagedClusterAddOn>>,
}

impl HubState {
    pub fn after(mut self, event: Event<ManagedClusterAddOn>) -> Self {
        match event {
            Event::Init => self.coming.clear(),
            Event::InitApply(mca) => {
                // A list is never old: what it has lives, also where a backup brought it back.
                self.deleted.remove(mca.uid());
                self.notice(&mca);
                self.coming.insert(mca.name().to_owned(), Arc::new(mca));
            }
            Event::InitDone => {
                self.mcas = std::mem::take(&mut self.coming);
                self.lists += 1;
            }
            Event::Apply(mca) if self.is_old_news(&mca) => {}
            Event::Apply(mca) => {
                self.notice(&mca);
                self.mcas.insert(mca.name().to_owned(), Arc::new(mca));
            }
            Event::Delete(mca) => {
                self.deleted.insert(mca.uid().to_owned());
                self.mcas.remove(mca.name());
            }
        }
        self
    }

    /// A watch may go back in time; a deletion is not taken back, and no spec comes a second time.
    fn is_old_news(&self, mca: &ManagedClusterAddOn) -> bool {
        let known = self.mcas.get(mca.name()).filter(|known| known.uid() == mca.uid());
        self.deleted.contains(mca.uid()) && !mca.is_deleting()
            || known.is_some_and(|known| known.metadata.generation > mca.metadata.generation)
    }

    /// Something that waits for finalizers is as good as deleted.
    fn notice(&mut self, mca: &ManagedClusterAddOn) {
        if mca.is_deleting() {
            self.deleted.insert(mca.uid().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::mca;

    #[test]
    fn a_deletion_seen_is_remembered_by_uid() {
        let hub = [
            Event::Init,
            Event::InitApply(mca("metrics", "u1")),
            Event::InitDone,
            Event::Delete(mca("metrics", "u1")),
            Event::Apply(mca("metrics", "u2")),
        ];
        let hub = hub.into_iter().fold(HubState::default(), HubState::after);
        assert_eq!(hub.deleted, BTreeSet::from(["u1".to_owned()]));
        assert_eq!(hub.mcas["metrics"].uid(), "u2");
    }

    #[test]
    fn an_old_event_brings_nothing_back_but_a_list_does() {
        let listed = || [Event::Init, Event::InitApply(mca("metrics", "u1")), Event::InitDone];
        let stale = [Event::Delete(mca("metrics", "u1")), Event::Apply(mca("metrics", "u1"))];
        let hub = listed().into_iter().chain(stale).fold(HubState::default(), HubState::after);
        assert!(hub.mcas.is_empty() && hub.deleted.contains("u1"));
        let restored = listed().into_iter().fold(hub, HubState::after);
        assert!(restored.mcas.contains_key("metrics") && restored.deleted.is_empty());
    }

    #[test]
    fn an_older_spec_is_no_news_of_a_watch_but_one_of_a_list() {
        let at = |generation: i64| {
            let mut mca = mca("metrics", "u1");
            mca.metadata.generation = Some(generation);
            mca
        };
        let generation = |hub: &HubState| hub.mcas["metrics"].metadata.generation;
        let stale = [Event::Apply(at(2)), Event::Apply(at(1))];
        let hub = stale.into_iter().fold(HubState::default(), HubState::after);
        assert_eq!(generation(&hub), Some(2));
        let restored = [Event::Init, Event::InitApply(at(1)), Event::InitDone];
        assert_eq!(generation(&restored.into_iter().fold(hub, HubState::after)), Some(1));
    }

    #[test]
    fn being_absent_from_a_list_is_no_deletion() {
        let events = [
            Event::Init,
            Event::InitApply(mca("metrics", "u1")),
            Event::InitDone,
            Event::Init,
            Event::InitDone,
        ];
        let hub = events.into_iter().fold(HubState::default(), HubState::after);
        assert!(hub.deleted.is_empty());
        assert!(hub.mcas.is_empty());
        assert_eq!(hub.lists, 2);
    }

    #[test]
    fn a_list_that_broke_off_changes_nothing() {
        let events = [
            Event::Init,
            Event::InitApply(mca("metrics", "u1")),
            Event::InitDone,
            Event::Init,
            Event::InitApply(mca("logs", "u2")),
            Event::Init,
        ];
        let hub = events.into_iter().fold(HubState::default(), HubState::after);
        assert_eq!(hub.mcas.keys().collect::<Vec<_>>(), ["metrics"]);
        assert_eq!(hub.lists, 1);
    }

    #[test]
    fn what_waits_for_finalizers_counts_as_deleted() {
        let mut going = mca("metrics", "u1");
        going.metadata.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH.into());
        let hub = HubState::default().after(Event::Apply(going));
        assert!(hub.deleted.contains("u1"));
    }
}
