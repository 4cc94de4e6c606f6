//! Which operations of the past are kept: at most twenty, the least important goes first.
//!
//! The weights are those of OpenShift's ClusterVersion history. What differs: the last failure always stays, and every
//! failure that did not stand between two minor versions counts as noise, as one that is tried again and again does.

use semver::Version;

use crate::api::{HistoryEntry, OperationResult};
use crate::reason::Reason;

/// Entries kept.
const MOST: usize = 20;

/// The newest entries, which are never removed.
const NEWEST: usize = 5;

/// Never removed: eight entries at most.
const ESSENTIAL: i64 = 100_000;
/// The first or the last version of a minor that ran.
const INTERESTING: i64 = 3_000;
/// Failed on the way from one minor to another.
const FAILED_MINOR: i64 = 2_000;
/// Failed otherwise.
const FAILED: i64 = -2_000;
/// For each newer entry; not a round number, so that there are no ties.
const AGE: i64 = -101;

/// `history` is newest first, and stays so.
pub fn prune(mut history: Vec<HistoryEntry>) -> Vec<HistoryEntry> {
    while history.len() > MOST {
        let ranks = (0..history.len()).map(|at| (rank(&history, at), at));
        let Some((_, least)) = ranks.min() else { break };
        history.remove(least);
    }
    history
}

fn rank(history: &[HistoryEntry], at: usize) -> i64 {
    let age = AGE.saturating_mul(i64::try_from(at).unwrap_or(i64::MAX));
    weight(history, at).saturating_add(age)
}

fn weight(history: &[HistoryEntry], at: usize) -> i64 {
    let (older, newer) = (ran_before(history, at), ran_after(history, at));
    let crosses = |other: Option<Minor>, from| other.is_none_or(|other| Some(other) != from);
    if is_essential(history, at) {
        return ESSENTIAL;
    }
    match history.get(at) {
        Some(entry) if ran(entry) => {
            let own = minor(entry);
            if crosses(older, own) || crosses(newer, own) { INTERESTING } else { 0 }
        }
        Some(_) if older.is_some() && newer.is_some() && older != newer => FAILED_MINOR,
        Some(_) | None => FAILED,
    }
}

/// The newest, the first and the last that ran, and the last that failed.
fn is_essential(history: &[HistoryEntry], at: usize) -> bool {
    let ends = [
        history.iter().position(ran),
        history.iter().rposition(ran),
        history.iter().position(failed),
    ];
    at < NEWEST || ends.contains(&Some(at))
}

type Minor = (u64, u64);

fn ran_before(history: &[HistoryEntry], at: usize) -> Option<Minor> {
    history.iter().skip(at + 1).find(|entry| ran(entry)).and_then(minor)
}

fn ran_after(history: &[HistoryEntry], at: usize) -> Option<Minor> {
    history.iter().take(at).rev().find(|entry| ran(entry)).and_then(minor)
}

fn minor(entry: &HistoryEntry) -> Option<Minor> {
    let version = Version::parse(entry.version.as_deref()?).ok()?;
    Some((version.major, version.minor))
}

fn ran(entry: &HistoryEntry) -> bool {
    entry.result == OperationResult::Succeeded
}

/// By itself, not because something else was asked.
fn failed(entry: &HistoryEntry) -> bool {
    entry.result == OperationResult::Failed && entry.reason != Reason::Superseded.name()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::api::OperationKind;

    #[test]
    fn the_least_important_goes_first() {
        let table = [
            ("nothing is lost before twenty", &[("1.0.0", 20)][..], "1-20"),
            ("the first and the newest of many alike", &[("1.0.0", 40)], "1 22-40"),
            (
                "failures within a minor go first, the oldest before",
                &[("1.0.0", 3), ("!1.0.1", 10), ("1.0.1", 10)],
                "1-3 7-23",
            ),
            (
                "the last failure stays",
                &[("1.0.0", 3), ("!1.0.1", 10), ("1.0.1", 30)],
                "1 13 26-43",
            ),
            (
                "what was superseded is no failure",
                &[("1.0.0", 1), ("!1.0.1", 1), ("~1.0.2", 1), ("1.0.3", 30)],
                "1-2 16-33",
            ),
            (
                "the first and the last of each minor stay",
                &[("1.0.0", 5), ("1.1.0", 5), ("1.2.0", 25)],
                "1 5-6 10-11 21-35",
            ),
            (
                "so does a failure between two minors",
                &[("1.0.0", 4), ("!1.1.0", 1), ("1.1.0", 20)],
                "1 4-6 10-25",
            ),
            ("of mere failures the oldest go", &[("1.0.0", 1), ("!1.1.0", 30)], "1 13-31"),
        ];
        for (why, runs, expected) in table {
            assert_eq!(numbers(runs), expected, "{why}");
        }
    }

    /// Runs of versions, oldest first: `!` failed, `~` was superseded. Each entry is added and pruned as it ends.
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
