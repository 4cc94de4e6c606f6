//! The trackers of all `ManagedClusterAddOn`s. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::assignments::outcome::Outcomes;
use crate::assignments::tracker::Tracker;
use crate::hub_state::HubState;
use crate::ocm::ManagedClusterAddOn;

/// One tracker for each `ManagedClusterAddOn` that is not being deleted, by name.
#[derive(Debug, Default)]
pub struct Trackers(BTreeMap<String, Tracker>);

impl Trackers {
    /// Records the state of the hub: starts, updates and drops trackers.
    pub fn observe(&mut self, hub_state: &HubState) {
        let stays = |mca: &ManagedClusterAddOn| !mca.is_deleting();
        self.0.retain(|name, _| hub_state.mcas.get(name).is_some_and(|mca| stays(mca)));
        for mca in hub_state.mcas.values().filter(|mca| stays(mca)) {
            self.0.entry(mca.name().to_owned()).or_default().observe(mca);
        }
    }

    /// Returns those whose lookup is due.
    pub fn due_lookups(&self, hub_state: &HubState, now: Instant) -> Vec<Arc<ManagedClusterAddOn>> {
        let due = self.0.iter().filter(|(_, tracker)| tracker.needs_lookup(now));
        due.filter_map(|(name, _)| hub_state.mcas.get(name).cloned()).collect()
    }

    /// Returns the tracker of this name.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Tracker> {
        self.0.get_mut(name)
    }

    /// Returns all trackers with their names.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut Tracker)> {
        self.0.iter_mut()
    }

    /// Returns the outcomes that are known.
    pub fn outcomes(&self) -> Outcomes {
        let outcomes = self.0.iter();
        outcomes
            .filter_map(|(name, tracker)| Some((name.clone(), tracker.outcome()?.clone())))
            .collect()
    }

    /// Returns the first attempt that is put off until later than `started`. One that was put off until then was made
    /// in the turn that began at `started`.
    pub fn next_attempt(&self, started: Instant) -> Option<Instant> {
        let attempts = self.0.values().filter_map(Tracker::next_attempt);
        attempts.filter(|attempt| *attempt > started).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use kube::runtime::watcher::Event;

    use super::*;
    use crate::assignments::outcome::AssignmentOutcome;
    use crate::assignments::tracker::Lookup;
    use crate::fixtures::mca;

    #[test]
    fn each_add_on_that_stays_has_a_tracker() {
        let now = Instant::now();
        let mut trackers = Trackers::default();
        let hub_state = HubState::default().after(Event::Apply(mca("metrics", "u1")));
        trackers.observe(&hub_state);
        assert_eq!(trackers.due_lookups(&hub_state, now).len(), 1);
        assert_eq!(trackers.outcomes(), Outcomes::new());
        let tracker = trackers.get_mut("metrics").unwrap();
        tracker.record_lookup(Lookup::Fleet, now, Timestamp::UNIX_EPOCH, 0.0);
        let fleet = Outcomes::from([("metrics".to_owned(), AssignmentOutcome::Fleet)]);
        assert_eq!(trackers.outcomes(), fleet);
        let hub_state = hub_state.after(Event::Delete(mca("metrics", "u1")));
        trackers.observe(&hub_state);
        assert!(trackers.get_mut("metrics").is_none());
    }

    #[test]
    fn an_attempt_that_was_due_in_this_turn_does_not_count_as_the_next_one() {
        let started = Instant::now();
        let mut trackers = Trackers::default();
        trackers.observe(&HubState::default().after(Event::Apply(mca("metrics", "u1"))));
        trackers.get_mut("metrics").unwrap().back_off(started, 0.0);
        let next = started + Duration::from_secs(1);
        assert_eq!(trackers.next_attempt(started), Some(next));
        assert_eq!(trackers.next_attempt(next), None);
    }
}
