//! What has to hold of every run, whatever went wrong in it.

use std::collections::BTreeSet;

use lifecycle::{ManagedAddOnStatus, OperationKind, Phase};

use crate::graph;
use crate::recorder::Seen;
use crate::snapshot::Snapshot;

/// The phases in which the run was, without repetitions.
pub fn phases(seen: &[Seen]) -> Vec<Phase> {
    let statuses = seen.iter().filter_map(|seen| seen.status.as_ref());
    let mut phases: Vec<Phase> = statuses.filter_map(|status| status.phase).collect();
    phases.dedup();
    phases
}

/// What was wrong on the way, in words.
pub fn complaints(
    seen: &[Seen],
    before: &Snapshot,
    after: &Snapshot,
    stable: &Stable,
) -> Vec<String> {
    let mut found = Vec::new();
    let phases = phases(seen);
    for pair in phases.windows(2) {
        if !graph::leads(pair[0], pair[1]) {
            found.push(format!("{} led to {}", pair[0].name(), pair[1].name()));
        }
    }
    if phases.iter().filter(|phase| **phase == Phase::RollingBack).count() > 1 {
        found.push("it rolled back more than once".to_owned());
    }
    let statuses: Vec<&ManagedAddOnStatus> =
        seen.iter().filter_map(|seen| seen.status.as_ref()).collect();
    for pair in statuses.windows(2) {
        found.extend(history_kept(pair[0], pair[1]));
    }
    if let Some(last) = statuses.last() {
        let rollbacks =
            last.history.iter().filter(|entry| entry.operation == OperationKind::Rollback).count();
        if rollbacks > 1 {
            found.push(format!("{rollbacks} rollbacks in the history"));
        }
    }
    for key in &stable.0 {
        let uid = |snapshot: &Snapshot| snapshot.uids.get(key).cloned();
        if uid(before).is_some() && uid(before) != uid(after) {
            found.push(format!("{key} was deleted and made anew, or is gone"));
        }
    }
    found
}

/// The objects that the reference run kept from its beginning to its end.
#[derive(Clone, Default)]
pub struct Stable(BTreeSet<String>);

impl Stable {
    pub fn of(before: &Snapshot, after: &Snapshot) -> Self {
        let same = before.uids.iter().filter(|(key, uid)| after.uids.get(*key) == Some(uid));
        Self(same.map(|(key, _)| key.clone()).collect())
    }
}

/// Entries only come on top, with a higher sequence, and never change.
fn history_kept(before: &ManagedAddOnStatus, after: &ManagedAddOnStatus) -> Option<String> {
    let newest = |status: &ManagedAddOnStatus| status.history.first().map(|entry| entry.sequence);
    if newest(after) < newest(before) {
        return Some(format!(
            "the history went back from {:?} to {:?}",
            newest(before),
            newest(after)
        ));
    }
    let rising = after.history.windows(2).all(|pair| pair[0].sequence > pair[1].sequence);
    if !rising {
        return Some("the history's sequence is not monotone".to_owned());
    }
    let lost = before.history.iter().find(|entry| !after.history.contains(entry));
    // A refusal that is tried again is the same entry with another end.
    let lost = lost.filter(|entry| Some(entry.sequence) != newest(after));
    lost.map(|entry| format!("history entry {} changed or went", entry.sequence))
}
