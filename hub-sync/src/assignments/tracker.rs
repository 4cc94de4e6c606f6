//! One `ManagedClusterAddOn` on its way to a `ManagedAddOn`: what was found, what was written, what to do next. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::ResourceExt;
use lifecycle::names::annotation::MCA_UID;
use lifecycle::{ActionableBy, Fault, ManagedAddOn};
use tokio::time::Instant;

use crate::assignments::outcome::{Refusal, Standing};
use crate::assignments::ownership;
use crate::assignments::template::Wanted;
use crate::backoff::ASSIGN;
use crate::ocm::{ManagedClusterAddOn, ManagedClusterAddOnSpec};

/// What the hub holds for a `ManagedClusterAddOn`.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Fleet,
    Nothing,
    Wanted(Wanted),
    Refused { fault: Fault, version: Option<String> },
}

/// A `ManagedAddOn` as it was after hub-sync wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    pub uid: String,
    pub generation: i64,
}

#[derive(Debug, Default)]
pub struct Tracker {
    seen: Option<Seen>,
    found: Option<Found>,
    written: Option<Written>,
    standing: Option<Standing>,
    failures: u32,
    rest_until: Option<Instant>,
}

/// What makes looking again worth a request: not the status, which changes with every report. A hub that was restored
/// gives the same generation out again, for another spec.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    uid: String,
    generation: Option<i64>,
    spec: ManagedClusterAddOnSpec,
    fleet: bool,
}

impl Tracker {
    /// Takes note of the `ManagedClusterAddOn` as it is. How it stands is kept until the new state is looked up.
    pub fn notice(&mut self, mca: &ManagedClusterAddOn) {
        let seen = Seen {
            uid: mca.uid().to_owned(),
            generation: mca.metadata.generation,
            spec: mca.spec.clone(),
            fleet: mca.is_owned_by_fleet(),
        };
        if self.seen.as_ref() != Some(&seen) {
            *self =
                Tracker { seen: Some(seen), standing: self.standing.take(), ..Tracker::default() };
        }
    }

    /// Something has to be read on the hub.
    pub fn wants_lookup(&self, now: Instant) -> bool {
        self.found.as_ref().is_none_or(is_to_be_found_again) && self.is_rested(now)
    }

    /// Takes what a look brought.
    pub fn take(&mut self, found: Found, now: Instant, time: Timestamp, random: f64) {
        match &found {
            Found::Fleet => self.standing = Some(Standing::Fleet),
            Found::Nothing => self.standing = Some(Standing::Unasked),
            Found::Wanted(_) => {}
            Found::Refused { fault, version } => self.refuse(fault.clone(), version.clone(), time),
        }
        let again = is_to_be_found_again(&found);
        self.found = Some(found);
        match again {
            true => self.rest(now, random),
            false => self.settle(),
        }
    }

    /// What should be written at this moment, given what is there.
    pub fn next_write(
        &mut self,
        existing: Option<&ManagedAddOn>,
        deleted: &BTreeSet<String>,
        now: Instant,
        time: Timestamp,
    ) -> Option<Wanted> {
        let Some(Found::Wanted(wanted)) = &self.found else { return None };
        let wanted = wanted.clone();
        if let Err(fault) = ownership::permit(existing) {
            self.refuse(fault, Some(wanted.version), time);
            return None;
        }
        if existing.is_some_and(|existing| must_go_first(existing, deleted)) {
            return None;
        }
        (self.is_outdated(existing) && self.is_rested(now)).then_some(wanted)
    }

    pub fn wrote(&mut self, written: Written) {
        self.written = Some(written);
        self.standing = Some(Standing::Assigned);
        self.settle();
    }

    /// What was found will not be accepted, so that it is not tried again until the hub says something else.
    pub fn refused(&mut self, fault: Fault, version: String, time: Timestamp) {
        self.refuse(fault.clone(), Some(version.clone()), time);
        self.found = Some(Found::Refused { fault, version: Some(version) });
        self.settle();
    }

    /// Tries again later.
    pub fn rest(&mut self, now: Instant, random: f64) {
        self.rest_until = Some(now + ASSIGN.delay(self.failures, random));
        self.failures += 1;
    }

    pub fn rest_until(&self) -> Option<Instant> {
        self.rest_until
    }

    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    fn settle(&mut self) {
        self.failures = 0;
        self.rest_until = None;
    }

    fn is_rested(&self, now: Instant) -> bool {
        self.rest_until.is_none_or(|until| until <= now)
    }

    /// Not written yet, gone, or edited since.
    fn is_outdated(&self, existing: Option<&ManagedAddOn>) -> bool {
        match (existing, &self.written) {
            (Some(existing), Some(written)) if existing.uid().as_ref() == Some(&written.uid) => {
                existing.metadata.generation > Some(written.generation)
            }
            (Some(_) | None, _) => true,
        }
    }

    /// A refusal that stays the same began when it began.
    fn refuse(&mut self, fault: Fault, version: Option<String>, time: Timestamp) {
        let since = match &self.standing {
            Some(Standing::Refused(old)) if old.fault == fault && old.version == version => {
                old.since
            }
            _ => time,
        };
        self.standing = Some(Standing::Refused(Refusal { fault, version, since }));
    }
}

/// It is for others to mend, who will not tell us.
fn is_to_be_found_again(found: &Found) -> bool {
    match found {
        Found::Refused { fault, .. } => fault.reason.actionable_by() == ActionableBy::Environment,
        Found::Fleet | Found::Nothing | Found::Wanted(_) => false,
    }
}

/// It is going away, or will: what follows it is written when it is gone.
fn must_go_first(existing: &ManagedAddOn, deleted: &BTreeSet<String>) -> bool {
    let followed = existing.annotations().get(MCA_UID);
    ownership::is_deleting(existing) || followed.is_some_and(|uid| deleted.contains(uid))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lifecycle::Reason;
    use serde_json::Value;

    use super::*;
    use crate::fixtures::{followed, local, mca};

    #[test]
    fn a_new_case_is_looked_up_and_written_once() {
        let mut case = new();
        assert!(case.wants_lookup(now()));
        take(&mut case, Found::Wanted(wanted()));
        assert!(!case.wants_lookup(now()));
        assert_eq!(to_write(&mut case, None), Some(wanted()));
        case.wrote(written(1));
        assert_eq!(case.standing(), Some(&Standing::Assigned));
        assert_eq!(to_write(&mut case, Some(at_generation(1))), None);
    }

    #[test]
    fn what_was_edited_or_removed_here_is_written_again() {
        let mut case = new();
        take(&mut case, Found::Wanted(wanted()));
        case.wrote(written(2));
        assert_eq!(to_write(&mut case, Some(at_generation(1))), None, "the watch is behind");
        assert_eq!(to_write(&mut case, Some(at_generation(3))), Some(wanted()));
        assert_eq!(to_write(&mut case, None), Some(wanted()));
    }

    #[test]
    fn a_status_report_is_no_reason_to_look_again_but_a_new_spec_or_owner_is() {
        let mut case = new();
        take(&mut case, Found::Nothing);
        let mut mca = mca("metrics", "u1");
        mca.metadata.resource_version = Some("8".to_owned());
        case.notice(&mca);
        assert!(!case.wants_lookup(now()));
        mca.metadata.generation = Some(2);
        case.notice(&mca);
        assert!(case.wants_lookup(now()));
        take(&mut case, Found::Nothing);
        mca.spec.install_namespace = Some("elsewhere".to_owned());
        case.notice(&mca);
        assert!(case.wants_lookup(now()), "a restored hub counts generations again");
        take(&mut case, Found::Nothing);
        mca.metadata.uid = Some("u2".to_owned());
        case.notice(&mca);
        assert!(case.wants_lookup(now()));
        assert_eq!(case.standing(), Some(&Standing::Unasked), "kept until looked up");
    }

    #[test]
    fn an_unknown_template_is_looked_for_again_in_growing_steps() {
        let mut case = new();
        let unknown = refused(Reason::UnknownTemplate);
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let now = now();
            case.take(unknown.clone(), now, Timestamp::UNIX_EPOCH, 1.0);
            assert_eq!(case.rest_until(), Some(now + Duration::from_secs(seconds)));
            assert!(!case.wants_lookup(now));
            assert!(case.wants_lookup(now + Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn what_the_author_has_to_mend_waits_for_the_author() {
        let mut case = new();
        take(&mut case, refused(Reason::InvalidVersion));
        assert_eq!(case.rest_until(), None);
        assert!(!case.wants_lookup(now() + Duration::from_secs(3600)));
    }

    #[test]
    fn the_same_refusal_keeps_its_beginning() {
        let since = |case: &Tracker| case.standing().unwrap().refusal().unwrap().since;
        let later = Timestamp::from_second(99).unwrap();
        let mut case = new();
        take(&mut case, refused(Reason::UnknownTemplate));
        case.take(refused(Reason::UnknownTemplate), now(), later, 0.0);
        assert_eq!(since(&case), Timestamp::UNIX_EPOCH);
        case.take(refused(Reason::InvalidVersion), now(), later, 0.0);
        assert_eq!(since(&case), later);
    }

    #[test]
    fn others_managed_add_ons_are_refused_until_they_are_gone() {
        let mut case = new();
        take(&mut case, Found::Wanted(wanted()));
        assert_eq!(to_write(&mut case, Some(local("metrics"))), None);
        let refusal = case.standing().unwrap().refusal().unwrap();
        assert_eq!(refusal.fault.reason, Reason::NotOurs);
        assert_eq!(to_write(&mut case, None), Some(wanted()));
    }

    #[test]
    fn nothing_is_written_over_what_is_going_away() {
        let mut case = new();
        take(&mut case, Found::Wanted(wanted()));
        let mut going = at_generation(1);
        going.metadata.deletion_timestamp = Some(Timestamp::UNIX_EPOCH.into());
        assert_eq!(to_write(&mut case, Some(going)), None);
        let deleted = BTreeSet::from(["u1".to_owned()]);
        let old = followed("metrics", "u1");
        assert_eq!(case.next_write(Some(&old), &deleted, now(), Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn what_the_api_server_refuses_is_not_sent_again() {
        let mut case = new();
        take(&mut case, Found::Wanted(wanted()));
        let fault = Fault::new(Reason::InvalidAssignment, "ß".repeat(1024));
        case.refused(fault, "1.5.0".to_owned(), Timestamp::UNIX_EPOCH);
        assert_eq!(to_write(&mut case, None), None);
        assert!(!case.wants_lookup(now()));
        assert_eq!(case.standing().unwrap().refusal().unwrap().fault.message.len(), 1023);
    }

    #[test]
    fn a_failed_write_rests() {
        let mut case = new();
        let now = now();
        take(&mut case, Found::Wanted(wanted()));
        case.rest(now, 0.0);
        let write = |case: &mut Tracker, now| {
            case.next_write(None, &BTreeSet::new(), now, Timestamp::UNIX_EPOCH)
        };
        assert_eq!(write(&mut case, now), None);
        assert_eq!(write(&mut case, now + Duration::from_secs(1)), Some(wanted()));
    }

    fn new() -> Tracker {
        let mut case = Tracker::default();
        case.notice(&mca("metrics", "u1"));
        case
    }

    fn take(case: &mut Tracker, found: Found) {
        case.take(found, now(), Timestamp::UNIX_EPOCH, 0.0);
    }

    fn to_write(case: &mut Tracker, existing: Option<ManagedAddOn>) -> Option<Wanted> {
        case.next_write(existing.as_ref(), &BTreeSet::new(), now(), Timestamp::UNIX_EPOCH)
    }

    fn at_generation(generation: i64) -> ManagedAddOn {
        let mut add_on = followed("metrics", "u1");
        add_on.metadata.generation = Some(generation);
        add_on
    }

    fn written(generation: i64) -> Written {
        Written { uid: "metrics-uid".to_owned(), generation }
    }

    fn wanted() -> Wanted {
        Wanted { name: "metrics".to_owned(), version: "1.5.0".to_owned(), object: Value::Null }
    }

    fn refused(reason: Reason) -> Found {
        Found::Refused { fault: Fault::new(reason, "why"), version: None }
    }

    fn now() -> Instant {
        Instant::now()
    }
}
