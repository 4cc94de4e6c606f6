//! The history: at most twenty past operations. The least important one is removed first.
//!
//! The weights are those of OpenShift's ClusterVersion history, with two differences: the last failure always stays, and a
//! failure that is not between two minor versions counts as noise, as one does that is retried again and again.

use semver::Version;

use crate::api::{HistoryEntry, OperationResult};
use crate::reason::Reason;

/// Entries that are kept.
const MAX_ENTRIES: usize = 20;

/// Entries that are never removed because they are the newest.
const NEWEST: usize = 5;

/// Weight of entries that are never removed: eight at most.
const ESSENTIAL: i64 = 100_000;

/// Weight of the first and the last version of a minor version that ran.
const MINOR_BOUNDARY: i64 = 3_000;

/// Weight of a failure between two minor versions.
const FAILED_BETWEEN_MINORS: i64 = 2_000;

/// Weight of any other failure.
const FAILED: i64 = -2_000;

/// Weight for each newer entry. It is no round number, so that there are no ties.
const AGE: i64 = -101;

/// Removes the least important entries, until at most twenty are left. The newest entry comes first.
pub fn prune(mut history: Vec<HistoryEntry>) -> Vec<HistoryEntry> {
    while history.len() > MAX_ENTRIES {
        let ranks = (0..history.len()).map(|index| (rank(&history, index), index));
        let Some((_, least)) = ranks.min() else { break };
        history.remove(least);
    }
    history
}

fn rank(history: &[HistoryEntry], index: usize) -> i64 {
    let age = AGE.saturating_mul(i64::try_from(index).unwrap_or(i64::MAX));
    weight(history, index).saturating_add(age)
}

fn weight(history: &[HistoryEntry], index: usize) -> i64 {
    if is_essential(history, index) {
        return ESSENTIAL;
    }
    let (older, newer) = (older_minor(history, index), newer_minor(history, index));
    match history.get(index) {
        Some(entry) if has_succeeded(entry) => {
            let own = minor(entry);
            let is_boundary = |other: Option<Minor>| other.is_none() || other != own;
            if is_boundary(older) || is_boundary(newer) { MINOR_BOUNDARY } else { 0 }
        }
        Some(_) if older.is_some() && newer.is_some() && older != newer => FAILED_BETWEEN_MINORS,
        Some(_) | None => FAILED,
    }
}

/// Returns whether an entry is one of the newest, the first or the last success, or the last failure.
fn is_essential(history: &[HistoryEntry], index: usize) -> bool {
    let essential = [
        history.iter().position(has_succeeded),
        history.iter().rposition(has_succeeded),
        history.iter().position(has_failed),
    ];
    index < NEWEST || essential.contains(&Some(index))
}

/// Major and minor number of a version.
type Minor = (u64, u64);

/// The minor version that ran before an entry.
fn older_minor(history: &[HistoryEntry], index: usize) -> Option<Minor> {
    history.iter().skip(index + 1).find(|entry| has_succeeded(entry)).and_then(minor)
}

/// The minor version that ran after an entry.
fn newer_minor(history: &[HistoryEntry], index: usize) -> Option<Minor> {
    history.iter().take(index).rev().find(|entry| has_succeeded(entry)).and_then(minor)
}

fn minor(entry: &HistoryEntry) -> Option<Minor> {
    let version = Version::parse(entry.version.as_deref()?).ok()?;
    Some((version.major, version.minor))
}

fn has_succeeded(entry: &HistoryEntry) -> bool {
    entry.result == OperationResult::Succeeded
}

/// A superseded operation did not fail by itself.
fn has_failed(entry: &HistoryEntry) -> bool {
    entry.result == OperationResult::Failed && entry.reason != Reason::Superseded.name()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::api::OperationKind;

    #[test]
    fn the_least_important_entry_is_removed_first() {
        let table = [
            ("up to twenty entries are kept", &[("1.0.0", 20)][..], "1-20"),
            (
                "of many similar entries the first and the newest are kept",
                &[("1.0.0", 40)],
                "1 22-40",
            ),
            (
                "failures within a minor version are removed first, and of those the oldest",
                &[("1.0.0", 3), ("!1.0.1", 10), ("1.0.1", 10)],
                "1-3 7-23",
            ),
            (
                "the last failure is kept",
                &[("1.0.0", 3), ("!1.0.1", 10), ("1.0.1", 30)],
                "1 13 26-43",
            ),
            (
                "a superseded operation is no failure",
                &[("1.0.0", 1), ("!1.0.1", 1), ("~1.0.2", 1), ("1.0.3", 30)],
                "1-2 16-33",
            ),
            (
                "the first and the last version of each minor version are kept",
                &[("1.0.0", 5), ("1.1.0", 5), ("1.2.0", 25)],
                "1 5-6 10-11 21-35",
            ),
            (
                "a failure between two minor versions is kept",
                &[("1.0.0", 4), ("!1.1.0", 1), ("1.1.0", 20)],
                "1 4-6 10-25",
            ),
            (
                "of failures alone the oldest are removed",
                &[("1.0.0", 1), ("!1.1.0", 30)],
                "1 13-31",
            ),
        ];
        for (case, runs, expected) in table {
            assert_eq!(numbers(runs), expected, "{case}");
        }
    }

    /// Versions and how often each occurs, oldest first: `!` failed, `~` was superseded. The history is pruned after each
    /// entry.
    fn numbers(runs: &[(&str, usize)]) -> String {
        let all = runs.iter().flat_map(|(version, count)| std::iter::repeat_n(version, *count));
        let kept = (1..).zip(all).fold(Vec::new(), |mut history, (sequence, version)| {
            history.insert(0, entry(sequence, version));
            prune(history)
        });
        ranges(kept.iter().rev().map(|entry| entry.sequence))
    }

    /// `1 3-5`
    fn ranges(numbers: impl Iterator<Item = u64>) -> String {
        let ranges = numbers.fold(Vec::new(), |mut ranges: Vec<(u64, u64)>, number| {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                Some(_) | None => ranges.push((number, number)),
            }
            ranges
        });
        let texts = ranges.iter().map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    fn entry(sequence: u64, version: &str) -> HistoryEntry {
        let (result, reason) = match version.chars().next() {
            Some('!') => (OperationResult::Failed, Reason::Unhealthy),
            Some('~') => (OperationResult::Failed, Reason::Superseded),
            _ => (OperationResult::Succeeded, Reason::UpgradeSucceeded),
        };
        HistoryEntry {
            sequence,
            version: Some(version.trim_start_matches(['!', '~']).to_owned()),
            digest: None,
            operation: OperationKind::Upgrade,
            result,
            started_time: Time(jiff::Timestamp::UNIX_EPOCH),
            completion_time: None,
            reason: reason.name().to_owned(),
            verified: true,
            evidence: None,
        }
    }
}
