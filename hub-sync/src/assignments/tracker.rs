//! Tracks one `ManagedClusterAddOn` on its way to a `ManagedAddOn`: its last lookup and write, and the next one. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::ResourceExt;
use lifecycle::names::annotation::MCA_UID;
use lifecycle::{ActionableBy, Fault, ManagedAddOn};
use tokio::time::Instant;

use crate::assignments::outcome::{AssignmentOutcome, Rejection};
use crate::assignments::ownership;
use crate::assignments::template::DesiredAddOn;
use crate::backoff::{ASSIGNMENT, Backoff};
use crate::ocm::{ManagedClusterAddOn, ManagedClusterAddOnSpec};

/// Result of a lookup on the hub.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    /// A `ClusterManagementAddOn` of the name exists.
    Fleet,
    /// It refers to no template.
    NoTemplate,
    /// A `ManagedAddOn` is to be written.
    Desired(DesiredAddOn),
    /// No `ManagedAddOn` can be written.
    Rejected { fault: Fault, version: Option<String> },
}

/// A `ManagedAddOn` as it was after hub-sync wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenAddOn {
    pub uid: String,
    pub generation: i64,
}

/// Progress of one `ManagedClusterAddOn`.
#[derive(Debug)]
pub struct Tracker {
    observed: Option<Observed>,
    lookup: Option<Lookup>,
    written: Option<WrittenAddOn>,
    outcome: Option<AssignmentOutcome>,
    backoff: Backoff,
}

/// The part of a `ManagedClusterAddOn` whose change makes a new lookup worth a request. The status is not in it: it changes
/// with every report. The spec is, since a restored hub gives a generation out again for another spec.
#[derive(Clone, Debug, PartialEq)]
struct Observed {
    uid: String,
    generation: Option<i64>,
    spec: ManagedClusterAddOnSpec,
    is_fleet: bool,
}

impl Default for Tracker {
    fn default() -> Self {
        let backoff = Backoff::new(ASSIGNMENT);
        Self { observed: None, lookup: None, written: None, outcome: None, backoff }
    }
}

impl Tracker {
    /// Records the `ManagedClusterAddOn` as it is. A change starts over; the outcome stays until the next lookup.
    pub fn observe(&mut self, mca: &ManagedClusterAddOn) {
        let observed = Some(Observed {
            uid: mca.uid().to_owned(),
            generation: mca.metadata.generation,
            spec: mca.spec.clone(),
            is_fleet: mca.is_owned_by_fleet(),
        });
        if self.observed != observed {
            let outcome = self.outcome.take();
            *self = Tracker { observed, outcome, ..Tracker::default() };
        }
    }

    /// Returns whether a lookup on the hub is due.
    pub fn needs_lookup(&self, now: Instant) -> bool {
        self.lookup.as_ref().is_none_or(is_worth_repeating) && self.backoff.is_due(now)
    }

    /// Records the result of a lookup.
    pub fn record_lookup(&mut self, lookup: Lookup, now: Instant, time: Timestamp, random: f64) {
        match &lookup {
            Lookup::Fleet => self.outcome = Some(AssignmentOutcome::Fleet),
            Lookup::NoTemplate => self.outcome = Some(AssignmentOutcome::NoTemplate),
            Lookup::Desired(_) => {}
            Lookup::Rejected { fault, version } => self.reject(fault, version.as_deref(), time),
        }
        match is_worth_repeating(&lookup) {
            true => self.back_off(now, random),
            false => self.backoff.reset(),
        }
        self.lookup = Some(lookup);
    }

    /// Returns the `ManagedAddOn` that is to be written at this moment, if any.
    pub fn due_write(
        &mut self,
        existing: Option<&ManagedAddOn>,
        deleted_uids: &BTreeSet<String>,
        now: Instant,
        time: Timestamp,
    ) -> Option<DesiredAddOn> {
        let Some(Lookup::Desired(desired)) = &self.lookup else { return None };
        let desired = desired.clone();
        if let Err(fault) = ownership::check_writable(existing) {
            self.reject(&fault, Some(&desired.version), time);
            return None;
        }
        if existing.is_some_and(|existing| must_be_gone_first(existing, deleted_uids)) {
            return None;
        }
        (self.is_outdated(existing) && self.backoff.is_due(now)).then_some(desired)
    }

    /// Records a successful write.
    pub fn record_write(&mut self, written: WrittenAddOn) {
        self.written = Some(written);
        self.outcome = Some(AssignmentOutcome::Assigned);
        self.backoff.reset();
    }

    /// Records that the API server refused the object. It is not sent again until the `ManagedClusterAddOn` changes.
    pub fn record_refusal(&mut self, fault: Fault, version: String, time: Timestamp) {
        self.reject(&fault, Some(&version), time);
        self.lookup = Some(Lookup::Rejected { fault, version: Some(version) });
        self.backoff.reset();
    }

    /// Puts the next attempt off after a failure.
    pub fn back_off(&mut self, now: Instant, random: f64) {
        self.backoff.record_failure(now, random);
    }

    /// Returns the time of the next attempt after a failure.
    pub fn next_attempt(&self) -> Option<Instant> {
        self.backoff.next_attempt()
    }

    /// Returns the outcome, once there is one.
    pub fn outcome(&self) -> Option<&AssignmentOutcome> {
        self.outcome.as_ref()
    }

    /// Returns whether it was not written yet, is gone, or was edited since.
    fn is_outdated(&self, existing: Option<&ManagedAddOn>) -> bool {
        match (existing, &self.written) {
            (Some(existing), Some(written)) if existing.uid().as_ref() == Some(&written.uid) => {
                existing.metadata.generation > Some(written.generation)
            }
            (Some(_) | None, _) => true,
        }
    }

    /// The same rejection as before keeps its time.
    fn reject(&mut self, fault: &Fault, version: Option<&str>, time: Timestamp) {
        let rejection = self.outcome.as_ref().and_then(AssignmentOutcome::rejection);
        let same = rejection.filter(|old| old.fault == *fault && old.version.as_deref() == version);
        let since = same.map_or(time, |old| old.since);
        let (fault, version) = (fault.clone(), version.map(str::to_owned));
        self.outcome = Some(AssignmentOutcome::Rejected(Rejection { fault, version, since }));
    }
}

/// The hub's or the cluster's owner can correct it without a change of the `ManagedClusterAddOn`, so no event shows it.
fn is_worth_repeating(lookup: &Lookup) -> bool {
    match lookup {
        Lookup::Rejected { fault, .. } => fault.reason.actionable_by() == ActionableBy::Environment,
        Lookup::Fleet | Lookup::NoTemplate | Lookup::Desired(_) => false,
    }
}

/// It is being deleted, or will be. Its successor is written when it is gone.
fn must_be_gone_first(existing: &ManagedAddOn, deleted_uids: &BTreeSet<String>) -> bool {
    let mca_uid = existing.annotations().get(MCA_UID);
    ownership::is_deleting(existing) || mca_uid.is_some_and(|uid| deleted_uids.contains(uid))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lifecycle::Reason;
    use serde_json::Value;

    use super::*;
    use crate::fixtures::{followed, local, mca};

    #[test]
    fn a_new_add_on_is_looked_up_and_written_once() {
        let mut tracker = new();
        assert!(tracker.needs_lookup(now()));
        look_up(&mut tracker, Lookup::Desired(desired()));
        assert!(!tracker.needs_lookup(now()));
        assert_eq!(due_write(&mut tracker, None), Some(desired()));
        tracker.record_write(written(1));
        assert_eq!(tracker.outcome(), Some(&AssignmentOutcome::Assigned));
        assert_eq!(due_write(&mut tracker, Some(at_generation(1))), None);
    }

    #[test]
    fn an_add_on_that_was_edited_or_deleted_on_the_cluster_is_written_again() {
        let mut tracker = new();
        look_up(&mut tracker, Lookup::Desired(desired()));
        tracker.record_write(written(2));
        assert_eq!(due_write(&mut tracker, Some(at_generation(1))), None, "the watch is behind");
        assert_eq!(due_write(&mut tracker, Some(at_generation(3))), Some(desired()));
        assert_eq!(due_write(&mut tracker, None), Some(desired()));
    }

    #[test]
    fn a_new_spec_or_owner_needs_a_lookup_but_a_status_report_does_not() {
        let mut tracker = new();
        look_up(&mut tracker, Lookup::NoTemplate);
        let mut mca = mca("metrics", "u1");
        mca.metadata.resource_version = Some("8".to_owned());
        tracker.observe(&mca);
        assert!(!tracker.needs_lookup(now()));
        mca.metadata.generation = Some(2);
        tracker.observe(&mca);
        assert!(tracker.needs_lookup(now()));
        look_up(&mut tracker, Lookup::NoTemplate);
        mca.spec.install_namespace = Some("elsewhere".to_owned());
        tracker.observe(&mca);
        assert!(tracker.needs_lookup(now()), "a restored hub repeats generations");
        look_up(&mut tracker, Lookup::NoTemplate);
        mca.metadata.uid = Some("u2".to_owned());
        tracker.observe(&mca);
        assert!(tracker.needs_lookup(now()));
        assert_eq!(
            tracker.outcome(),
            Some(&AssignmentOutcome::NoTemplate),
            "kept until the lookup"
        );
    }

    #[test]
    fn the_lookup_of_a_missing_template_is_repeated_with_growing_delays() {
        let mut tracker = new();
        let missing = rejected(Reason::UnknownTemplate);
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let now = now();
            tracker.record_lookup(missing.clone(), now, Timestamp::UNIX_EPOCH, 1.0);
            assert_eq!(tracker.next_attempt(), Some(now + Duration::from_secs(seconds)));
            assert!(!tracker.needs_lookup(now));
            assert!(tracker.needs_lookup(now + Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn a_mistake_in_the_assignment_waits_for_a_change_of_the_assignment() {
        let mut tracker = new();
        look_up(&mut tracker, rejected(Reason::InvalidVersion));
        assert_eq!(tracker.next_attempt(), None);
        assert!(!tracker.needs_lookup(now() + Duration::from_secs(3600)));
    }

    #[test]
    fn the_same_rejection_keeps_its_time() {
        let since = |tracker: &Tracker| tracker.outcome().unwrap().rejection().unwrap().since;
        let later = Timestamp::from_second(99).unwrap();
        let mut tracker = new();
        look_up(&mut tracker, rejected(Reason::UnknownTemplate));
        tracker.record_lookup(rejected(Reason::UnknownTemplate), now(), later, 0.0);
        assert_eq!(since(&tracker), Timestamp::UNIX_EPOCH);
        tracker.record_lookup(rejected(Reason::InvalidVersion), now(), later, 0.0);
        assert_eq!(since(&tracker), later);
    }

    #[test]
    fn a_managed_add_on_that_hub_sync_does_not_own_rejects_the_assignment_until_it_is_gone() {
        let mut tracker = new();
        look_up(&mut tracker, Lookup::Desired(desired()));
        assert_eq!(due_write(&mut tracker, Some(local("metrics"))), None);
        let rejection = tracker.outcome().unwrap().rejection().unwrap();
        assert_eq!(rejection.fault.reason, Reason::NotOurs);
        assert_eq!(due_write(&mut tracker, None), Some(desired()));
    }

    #[test]
    fn nothing_is_written_over_an_add_on_that_is_being_deleted_or_will_be() {
        let mut tracker = new();
        look_up(&mut tracker, Lookup::Desired(desired()));
        let mut deleting = at_generation(1);
        deleting.metadata.deletion_timestamp = Some(Timestamp::UNIX_EPOCH.into());
        assert_eq!(due_write(&mut tracker, Some(deleting)), None);
        let deleted_uids = BTreeSet::from(["u1".to_owned()]);
        let old = followed("metrics", "u1");
        assert_eq!(
            tracker.due_write(Some(&old), &deleted_uids, now(), Timestamp::UNIX_EPOCH),
            None
        );
    }

    #[test]
    fn an_object_that_the_api_server_refused_is_not_sent_again() {
        let mut tracker = new();
        look_up(&mut tracker, Lookup::Desired(desired()));
        let fault = Fault::new(Reason::InvalidAssignment, "ß".repeat(1024));
        tracker.record_refusal(fault, "1.5.0".to_owned(), Timestamp::UNIX_EPOCH);
        assert_eq!(due_write(&mut tracker, None), None);
        assert!(!tracker.needs_lookup(now()));
        assert_eq!(tracker.outcome().unwrap().rejection().unwrap().fault.message.len(), 1023);
    }

    #[test]
    fn a_failed_write_is_put_off() {
        let mut tracker = new();
        let now = now();
        look_up(&mut tracker, Lookup::Desired(desired()));
        tracker.back_off(now, 0.0);
        let due_write = |tracker: &mut Tracker, now| {
            tracker.due_write(None, &BTreeSet::new(), now, Timestamp::UNIX_EPOCH)
        };
        assert_eq!(due_write(&mut tracker, now), None);
        assert_eq!(due_write(&mut tracker, now + Duration::from_secs(1)), Some(desired()));
    }

    fn new() -> Tracker {
        let mut tracker = Tracker::default();
        tracker.observe(&mca("metrics", "u1"));
        tracker
    }

    fn look_up(tracker: &mut Tracker, lookup: Lookup) {
        tracker.record_lookup(lookup, now(), Timestamp::UNIX_EPOCH, 0.0);
    }

    fn due_write(tracker: &mut Tracker, existing: Option<ManagedAddOn>) -> Option<DesiredAddOn> {
        tracker.due_write(existing.as_ref(), &BTreeSet::new(), now(), Timestamp::UNIX_EPOCH)
    }

    fn at_generation(generation: i64) -> ManagedAddOn {
        let mut add_on = followed("metrics", "u1");
        add_on.metadata.generation = Some(generation);
        add_on
    }

    fn written(generation: i64) -> WrittenAddOn {
        WrittenAddOn { uid: "metrics-uid".to_owned(), generation }
    }

    fn desired() -> DesiredAddOn {
        DesiredAddOn {
            name: "metrics".to_owned(),
            version: "1.5.0".to_owned(),
            object: Value::Null,
        }
    }

    fn rejected(reason: Reason) -> Lookup {
        Lookup::Rejected { fault: Fault::new(reason, "why"), version: None }
    }

    fn now() -> Instant {
        Instant::now()
    }
}
