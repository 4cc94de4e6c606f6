//! What has to hold of every run, whatever went wrong in it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lifecycle::{ManagedAddOnStatus, OperationKind, Phase};

use crate::graph;
use crate::recorder::Seen;
use crate::scenario::SOAK;
use crate::snapshot::Snapshot;
use crate::tally::Counts;

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

/// Health was not watched as long as it should be, by the times at which each phase was sent to be saved.
pub fn hurried(sent: &[(Instant, Phase)]) -> Option<String> {
    let mut since = None;
    for (at, phase) in sent {
        if *phase == Phase::Verifying {
            since.get_or_insert(*at);
            continue;
        }
        let healthy = matches!(phase, Phase::Pruning | Phase::Available);
        let soaked = since.take().map(|since| at.duration_since(since));
        if let Some(soaked) = soaked.filter(|soaked| healthy && *soaked < SOAK) {
            return Some(format!("it counted as healthy after {soaked:?}"));
        }
    }
    None
}

/// Objects that both versions have were deleted on the way, though they may be there again.
pub fn deleted(counts: &Counts, stable: &Stable) -> Vec<String> {
    let kept = stable.0.iter().filter(|key| counts.get(*key).is_some_and(|it| it.deleted > 0));
    kept.map(|key| format!("{key} was deleted on the way")).collect()
}

/// An agent in good health needs a fraction of this.
const MOST_MEMORY: usize = 200;
const MOST_FILES: usize = 200;
/// A look a second at an add-on is ten requests; a loop without a pause would be hundreds.
const MOST_A_SECOND: usize = 60;
const MOST_AT_ONCE: usize = 600;

/// What an agent needs of others, whatever goes wrong: memory in MiB, files, requests in so long a time.
pub fn greed((memory, files): (usize, usize), requests: usize, time: Duration) -> Vec<String> {
    let mut found = Vec::new();
    if memory > MOST_MEMORY {
        found.push(format!("the agent has {memory} MiB of memory"));
    }
    if files > MOST_FILES {
        found.push(format!("the agent has {files} open files"));
    }
    let seconds = usize::try_from(time.as_secs()).unwrap_or(usize::MAX);
    if requests > MOST_AT_ONCE.saturating_add(MOST_A_SECOND.saturating_mul(seconds)) {
        found.push(format!("{requests} requests in {seconds} s"));
    }
    found
}

/// So many requests at once, and a second, to a server that is away.
const IN_VAIN_AT_ONCE: usize = 30;
const IN_VAIN_A_SECOND: usize = 6;

pub fn stubborn(in_vain: usize, time: Duration) -> Option<String> {
    let seconds = usize::try_from(time.as_secs()).unwrap_or(usize::MAX);
    let most = IN_VAIN_AT_ONCE.saturating_add(IN_VAIN_A_SECOND.saturating_mul(seconds));
    (in_vain > most).then(|| format!("{in_vain} requests in {seconds} s to a server that is away"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(phase: Phase, sequences: &[u64]) -> Seen {
        let entry = |sequence: &u64| {
            serde_json::from_value(serde_json::json!({
                "sequence": sequence, "operation": "Rollback", "result": "Succeeded",
                "startedTime": "2026-01-01T00:00:00Z", "reason": "RollbackSucceeded", "verified": true,
            }))
        };
        let history = sequences.iter().map(entry).collect::<Result<_, _>>().unwrap();
        let status = ManagedAddOnStatus { phase: Some(phase), history, ..Default::default() };
        Seen { at: Instant::now(), generation: None, status: Some(status) }
    }

    fn found(seen: &[Seen]) -> Vec<String> {
        complaints(seen, &Snapshot::default(), &Snapshot::default(), &Stable::default())
    }

    #[test]
    fn a_quiet_run_is_no_reason_to_complain() {
        let run = [seen(Phase::RollingBack, &[1]), seen(Phase::RolledBack, &[2])];
        assert_eq!(found(&run[..1]), Vec::<String>::new());
        assert!(!found(&run).is_empty(), "history entry 1 went");
    }

    #[test]
    fn a_phase_from_nowhere_is_told() {
        let run = [seen(Phase::Available, &[]), seen(Phase::Verifying, &[])];
        assert_eq!(found(&run), ["Available led to Verifying"]);
    }

    #[test]
    fn a_second_rollback_is_told() {
        let run = [seen(Phase::RolledBack, &[1]), seen(Phase::RolledBack, &[2, 1])];
        assert_eq!(found(&run), ["2 rollbacks in the history"]);
    }

    #[test]
    fn health_that_is_not_watched_for_the_soak_is_told() {
        let begun = Instant::now();
        let after = |time| hurried(&[(begun, Phase::Verifying), (begun + time, Phase::Pruning)]);
        assert_eq!(after(SOAK), None);
        assert!(after(SOAK / 2).is_some());
    }

    #[test]
    fn greed_is_told() {
        assert_eq!(greed((50, 40), 500, Duration::from_secs(1)), Vec::<String>::new());
        assert_eq!(greed((5000, 4000), 50_000, Duration::from_secs(1)).len(), 3);
        assert_eq!(stubborn(40, Duration::from_secs(6)), None);
        assert!(stubborn(400, Duration::from_secs(6)).is_some());
    }

    #[test]
    fn a_history_that_goes_back_is_told() {
        let run = [seen(Phase::Available, &[2]), seen(Phase::Available, &[1])];
        assert_eq!(found(&run), ["the history went back from Some(2) to Some(1)"]);
    }

    #[test]
    fn an_object_made_anew_is_told() {
        let with = |uid: &str| Snapshot {
            uids: [("ConfigMap settings".to_owned(), uid.to_owned())].into(),
            ..Snapshot::default()
        };
        let stable = Stable::of(&with("a"), &with("a"));
        assert_eq!(complaints(&[], &with("a"), &with("b"), &stable).len(), 1);
        assert_eq!(complaints(&[], &with("a"), &Snapshot::default(), &stable).len(), 1);
        assert_eq!(Stable::of(&with("a"), &with("b")).0.len(), 0);
    }
}
