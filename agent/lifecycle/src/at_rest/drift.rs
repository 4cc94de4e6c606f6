//! Whether others change the release at rest.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{ForeignFields, saved};
use crate::api::ManagedAddOnStatus;
use crate::object::ObjectKey;

/// So many looks in a row at which an object had to be put back mean that somebody fights for it.
const CONTESTED: u32 = 3;

/// Objects that are named, and fields of each; the others are counted.
const NAMED: usize = 3;

/// What one look found changed.
#[derive(Clone, Debug, Default)]
pub struct Mending {
    /// Put back as the release says.
    pub mended: Vec<ObjectKey>,
    /// Not put back, and why.
    pub unmended: Vec<(ObjectKey, String)>,
    /// What others added to each object that was seen.
    pub added: BTreeMap<ObjectKey, Vec<ForeignFields>>,
    /// Not everything could be looked at.
    pub unseen: bool,
}

impl Mending {
    /// Everything was seen, and is as the release says.
    pub fn is_whole(&self) -> bool {
        !self.unseen && self.unmended.is_empty()
    }
}

/// What is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drifted {
    pub drifted: bool,
    pub reason: &'static str,
    pub message: String,
}

#[derive(Clone, Debug, Default)]
pub struct Drift {
    told: Option<Drifted>,
    /// At how many looks in a row each object had to be put back.
    in_a_row: BTreeMap<ObjectKey, u32>,
    /// What others added, as far as it was seen.
    added: BTreeMap<ObjectKey, Vec<ForeignFields>>,
}

impl Drift {
    /// What an agent told that ran before this one.
    pub fn told_before(status: &ManagedAddOnStatus) -> Self {
        let told = saved(status, "Drifted").and_then(|condition| {
            let reason = REASONS.iter().find(|reason| **reason == condition.reason)?;
            let (drifted, message) = (condition.status == "True", condition.message.clone());
            Some(Drifted { drifted, reason, message })
        });
        Self { told, ..Self::default() }
    }

    /// Absent until somebody looked.
    pub fn told(&self) -> Option<&Drifted> {
        self.told.as_ref()
    }

    pub fn see(self, look: &Mending, now: Timestamp) -> Self {
        let in_a_row: BTreeMap<ObjectKey, u32> = look
            .mended
            .iter()
            .map(|key| (key.clone(), self.in_a_row.get(key).map_or(1, |times| times + 1)))
            .collect();
        let contested: Vec<&ObjectKey> =
            in_a_row.iter().filter(|(_, times)| **times >= CONTESTED).map(|(key, _)| key).collect();
        let mut added = self.added;
        added.extend(look.added.clone());
        let told = told(look, &contested, now)
            .or_else(|| beside(&added))
            .or(self.told.filter(|told| told.reason == MENDED));
        Self { told: told.or_else(|| Some(as_released())), in_a_row, added }
    }
}

const NOT_MENDED: &str = "RepairFailed";
const CONTESTED_REASON: &str = "Contested";
const MENDED: &str = "Mended";
const FIELDS_OF_OTHERS: &str = "FieldsOfOthers";
const AS_RELEASED: &str = "InSync";
const REASONS: [&str; 5] = [NOT_MENDED, CONTESTED_REASON, MENDED, FIELDS_OF_OTHERS, AS_RELEASED];

/// What this look adds; the worst first. What is put back again and again is told without a time, so that it is told once.
fn told(look: &Mending, contested: &[&ObjectKey], now: Timestamp) -> Option<Drifted> {
    let drifted = |reason, message| Some(Drifted { drifted: true, reason, message });
    if let [(first, why), more @ ..] = look.unmended.as_slice() {
        let more =
            if more.is_empty() { String::new() } else { format!(" (and {} more)", more.len()) };
        return drifted(NOT_MENDED, format!("{first} differs and was not put back: {why}{more}"));
    }
    if !contested.is_empty() {
        let what = named(contested.iter().copied());
        return drifted(
            CONTESTED_REASON,
            format!("changed by somebody again and again: {what}; see who in its managedFields"),
        );
    }
    (!look.mended.is_empty()).then(|| {
        let message = format!("{} put back at {now}: {}", look.mended.len(), named(&look.mended));
        Drifted { drifted: false, reason: MENDED, message }
    })
}

/// What the release says is so all the same. Told without a time, so that it is told once.
fn beside(added: &BTreeMap<ObjectKey, Vec<ForeignFields>>) -> Option<Drifted> {
    let each = added.iter().flat_map(|(key, added)| added.iter().map(move |it| (key, it)));
    let each = each.map(|(key, ForeignFields { manager, fields })| {
        format!("{key}: {} by {manager}", listed(fields, ", "))
    });
    let each: Vec<String> = each.collect();
    let message = format!("set by others and left so: {}", listed(&each, "; "));
    let told = Drifted { drifted: false, reason: FIELDS_OF_OTHERS, message };
    (!each.is_empty()).then_some(told)
}

fn as_released() -> Drifted {
    Drifted { drifted: false, reason: AS_RELEASED, message: String::new() }
}

fn named<'a>(keys: impl IntoIterator<Item = &'a ObjectKey>) -> String {
    listed(&keys.into_iter().map(ToString::to_string).collect::<Vec<_>>(), ", ")
}

fn listed(items: &[String], separator: &str) -> String {
    let shown = items.iter().take(NAMED).cloned().collect::<Vec<_>>().join(separator);
    match items.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} (and {more} more)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_after_each_look() {
        let table: [(&str, &[&str]); 6] = [
            ("nothing", &["False InSync: "]),
            ("a", &["False Mended: 1 put back at 2026-01-01T00:00:00Z: ConfigMap shop/a"]),
            (
                "a nothing nothing",
                &["False Mended: 1 put back at 2026-01-01T00:00:00Z: ConfigMap shop/a"; 3],
            ),
            (
                "abcde",
                &[
                    "False Mended: 5 put back at 2026-01-01T00:00:00Z: ConfigMap shop/a, ConfigMap shop/b, ConfigMap shop/c (and 2 more)",
                ],
            ),
            (
                "!ab nothing",
                &[
                    "True RepairFailed: ConfigMap shop/a differs and was not put back: forbidden (and 1 more)",
                    "False InSync: ",
                ],
            ),
            (
                "a a a a nothing",
                &[
                    "False Mended: 1 put back at 2026-01-01T00:00:00Z: ConfigMap shop/a",
                    "False Mended: 1 put back at 2026-01-01T00:01:00Z: ConfigMap shop/a",
                    "True Contested: changed by somebody again and again: ConfigMap shop/a; see who in its managedFields",
                    "True Contested: changed by somebody again and again: ConfigMap shop/a; see who in its managedFields",
                    "False InSync: ",
                ],
            ),
        ];
        for (looks, told) in table {
            assert_eq!(see(looks), told, "{looks}");
        }
    }

    #[test]
    fn what_others_add_is_told_while_it_is_there() {
        let table: [(&str, &[&str]); 5] = [
            (
                "+a +a",
                &["False FieldsOfOthers: set by others and left so: ConfigMap shop/a: data.a by kubectl";
                    2],
            ),
            // What could not be looked at is as it was.
            (
                "+a nothing",
                &["False FieldsOfOthers: set by others and left so: ConfigMap shop/a: data.a by kubectl";
                    2],
            ),
            (
                "+a -a",
                &[
                    "False FieldsOfOthers: set by others and left so: ConfigMap shop/a: data.a by kubectl",
                    "False InSync: ",
                ],
            ),
            (
                "a +abcd",
                &[
                    "False Mended: 1 put back at 2026-01-01T00:00:00Z: ConfigMap shop/a",
                    "False FieldsOfOthers: set by others and left so: ConfigMap shop/a: data.a by kubectl; \
                     ConfigMap shop/b: data.b by kubectl; ConfigMap shop/c: data.c by kubectl (and 1 more)",
                ],
            ),
            (
                "+a !b",
                &[
                    "False FieldsOfOthers: set by others and left so: ConfigMap shop/a: data.a by kubectl",
                    "True RepairFailed: ConfigMap shop/b differs and was not put back: forbidden",
                ],
            ),
        ];
        for (looks, told) in table {
            assert_eq!(see(looks), told, "{looks}");
        }
    }

    #[test]
    fn what_was_told_is_told_on_after_a_restart() {
        let status = serde_json::json!({"conditions": [{
            "type": "Drifted", "status": "False", "reason": "Mended", "message": "1 put back",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]});
        let status = serde_json::from_value(status).expect("a status");
        let drift = Drift::told_before(&status).see(&Mending::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(drift.told().map(|told| told.message.as_str()), Some("1 put back"));
        assert_eq!(Drift::default().told(), None);
    }

    /// A look a minute; letters are objects that are put back; or not, after `!`; or have a field of others, after `+`, or
    /// none, after `-`.
    fn see(looks: &str) -> Vec<String> {
        let mut drift = Drift::default();
        let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let mut told = Vec::new();
        for look in looks.split(' ') {
            drift = drift.see(&mending(look), now);
            now = now.saturating_add(std::time::Duration::from_secs(60)).expect("a duration");
            told.extend(drift.told().map(|Drifted { drifted, reason, message }| {
                format!("{} {reason}: {message}", if *drifted { "True" } else { "False" })
            }));
        }
        told
    }

    fn mending(look: &str) -> Mending {
        let key = |name: char| ObjectKey {
            group: String::new(),
            kind: "ConfigMap".to_owned(),
            namespace: Some("shop".to_owned()),
            name: name.to_string(),
        };
        let fields = |name| ForeignFields {
            manager: "kubectl".to_owned(),
            fields: vec![format!("data.{name}")],
        };
        let mut mending = Mending::default();
        match (look, look.chars().next()) {
            ("nothing", _) => {}
            (_, Some('!')) => {
                let names = look.chars().skip(1);
                mending.unmended = names.map(|it| (key(it), "forbidden".to_owned())).collect();
            }
            (_, Some('+')) => {
                let names = look.chars().skip(1);
                mending.added = names.map(|it| (key(it), vec![fields(it)])).collect();
            }
            (_, Some('-')) => {
                mending.added = look.chars().skip(1).map(|it| (key(it), Vec::new())).collect();
            }
            (names, _) => mending.mended = names.chars().map(key).collect(),
        }
        mending
    }
}
