//! Drift: others change the release at rest.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::drift_condition::{DriftCondition, DriftReason};
use super::foreign_fields::ForeignFields;
use crate::api::ManagedAddOnStatus;
use crate::object::ObjectKey;

/// An object that had to be restored at this many comparisons in a row is contested: something else keeps changing it.
const CONTESTED: u32 = 3;

/// The result of one comparison of a release at rest with its living objects, and of the repairs that followed.
#[derive(Clone, Debug, Default)]
pub struct Repairs {
    /// Objects that differed and were restored.
    pub restored: Vec<ObjectKey>,
    /// Objects that a rollback could not write, and that are as their release has them now.
    pub recovered: Vec<ObjectKey>,
    /// Objects that differ and could not be restored, each with the cause.
    pub failed: Vec<(ObjectKey, String)>,
    /// The foreign fields of each object that was compared.
    pub foreign_fields: BTreeMap<ObjectKey, Vec<ForeignFields>>,
    /// Whether some objects could not be listed.
    pub is_incomplete: bool,
}

impl Repairs {
    /// Returns whether every object was compared and is as its release has it.
    pub fn is_complete(&self) -> bool {
        !self.is_incomplete && self.failed.is_empty()
    }
}

/// The drift of a release at rest, over all comparisons since it came to rest.
#[derive(Clone, Debug, Default)]
pub struct Drift {
    condition: Option<DriftCondition>,
    /// At how many comparisons in a row each object had to be restored.
    in_a_row: BTreeMap<ObjectKey, u32>,
    /// Foreign fields as of the last comparison of each object.
    foreign_fields: BTreeMap<ObjectKey, Vec<ForeignFields>>,
}

impl Drift {
    /// Continues from the condition `Drifted` in a saved status, after a restart.
    pub fn from_status(status: &ManagedAddOnStatus) -> Self {
        let condition = status.condition("Drifted").and_then(|condition| {
            let reason = *DriftReason::ALL.iter().find(|it| it.name() == condition.reason)?;
            let (is_drifted, message) = (condition.status == "True", condition.message.clone());
            Some(DriftCondition { is_drifted, reason, message })
        });
        Self { condition, ..Self::default() }
    }

    /// The condition to report. None before the first comparison.
    pub fn condition(&self) -> Option<&DriftCondition> {
        self.condition.as_ref()
    }

    /// Records one comparison. A repair stays reported until there is something else to report.
    pub fn record(self, repairs: &Repairs, now: Timestamp) -> Self {
        let in_a_row = count_in_a_row(&self.in_a_row, &repairs.restored);
        let contested = in_a_row.iter().filter(|(_, times)| **times >= CONTESTED);
        let contested: Vec<&ObjectKey> = contested.map(|(key, _)| key).collect();
        let mut foreign_fields = self.foreign_fields;
        foreign_fields.extend(repairs.foreign_fields.clone());
        let condition = DriftCondition::repair_failed(&repairs.failed)
            .or_else(|| DriftCondition::contested(&contested))
            .or_else(|| DriftCondition::repaired(&repairs.restored, now))
            .or_else(|| DriftCondition::foreign_fields(&foreign_fields))
            .or(self.condition.filter(|condition| condition.reason == DriftReason::Repaired))
            .unwrap_or_else(DriftCondition::in_sync);
        Self { condition: Some(condition), in_a_row, foreign_fields }
    }
}

fn count_in_a_row(
    before: &BTreeMap<ObjectKey, u32>,
    restored: &[ObjectKey],
) -> BTreeMap<ObjectKey, u32> {
    let count = |key| before.get(key).map_or(1, |times| times + 1);
    restored.iter().map(|key| (key.clone(), count(key))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comparison_is_reported() {
        let table: [(&str, &[&str]); 6] = [
            ("nothing", &["False InSync: "]),
            ("a", &["False Repaired: 1 restored at 2026-01-01T00:00:00Z: ConfigMap shop/a"]),
            (
                "a nothing nothing",
                &["False Repaired: 1 restored at 2026-01-01T00:00:00Z: ConfigMap shop/a"; 3],
            ),
            (
                "abcde",
                &[
                    "False Repaired: 5 restored at 2026-01-01T00:00:00Z: ConfigMap shop/a, ConfigMap shop/b, ConfigMap shop/c (and 2 more)",
                ],
            ),
            (
                "!ab nothing",
                &[
                    "True RepairFailed: ConfigMap shop/a differs and could not be restored: forbidden (and 1 more)",
                    "False InSync: ",
                ],
            ),
            (
                "a a a a nothing",
                &[
                    "False Repaired: 1 restored at 2026-01-01T00:00:00Z: ConfigMap shop/a",
                    "False Repaired: 1 restored at 2026-01-01T00:01:00Z: ConfigMap shop/a",
                    "True Contested: changed again after each repair: ConfigMap shop/a; see the managers in managedFields",
                    "True Contested: changed again after each repair: ConfigMap shop/a; see the managers in managedFields",
                    "False InSync: ",
                ],
            ),
        ];
        for (comparisons, expected) in table {
            assert_eq!(record(comparisons), expected, "{comparisons}");
        }
    }

    #[test]
    fn foreign_fields_are_reported_while_they_exist() {
        let table: [(&str, &[&str]); 5] = [
            (
                "+a +a",
                &["False ForeignFields: set by other managers and left unchanged: ConfigMap shop/a: data.a by kubectl";
                    2],
            ),
            // An object that was not compared keeps its foreign fields.
            (
                "+a nothing",
                &["False ForeignFields: set by other managers and left unchanged: ConfigMap shop/a: data.a by kubectl";
                    2],
            ),
            (
                "+a -a",
                &[
                    "False ForeignFields: set by other managers and left unchanged: ConfigMap shop/a: data.a by kubectl",
                    "False InSync: ",
                ],
            ),
            (
                "a +abcd",
                &[
                    "False Repaired: 1 restored at 2026-01-01T00:00:00Z: ConfigMap shop/a",
                    "False ForeignFields: set by other managers and left unchanged: ConfigMap shop/a: data.a by kubectl; \
                     ConfigMap shop/b: data.b by kubectl; ConfigMap shop/c: data.c by kubectl (and 1 more)",
                ],
            ),
            (
                "+a !b",
                &[
                    "False ForeignFields: set by other managers and left unchanged: ConfigMap shop/a: data.a by kubectl",
                    "True RepairFailed: ConfigMap shop/b differs and could not be restored: forbidden",
                ],
            ),
        ];
        for (comparisons, expected) in table {
            assert_eq!(record(comparisons), expected, "{comparisons}");
        }
    }

    #[test]
    fn a_report_continues_after_a_restart() {
        let status = serde_json::json!({"conditions": [{
            "type": "Drifted", "status": "False", "reason": "Repaired", "message": "1 restored",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]});
        let status = serde_json::from_value(status).expect("a status");
        let drift = Drift::from_status(&status).record(&Repairs::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(
            drift.condition().map(|condition| condition.message.as_str()),
            Some("1 restored")
        );
        assert_eq!(Drift::default().condition(), None);
    }

    /// Records one comparison a minute and returns the reports. Letters are objects that are restored; that cannot be
    /// restored, after `!`; that have a foreign field, after `+`, or none any more, after `-`.
    fn record(comparisons: &str) -> Vec<String> {
        let mut drift = Drift::default();
        let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let mut reports = Vec::new();
        for comparison in comparisons.split(' ') {
            drift = drift.record(&repairs(comparison), now);
            now = now.saturating_add(std::time::Duration::from_secs(60)).expect("a duration");
            reports.extend(drift.condition().map(|condition| {
                let status = if condition.is_drifted { "True" } else { "False" };
                format!("{status} {}: {}", condition.reason.name(), condition.message)
            }));
        }
        reports
    }

    fn repairs(comparison: &str) -> Repairs {
        let mut repairs = Repairs::default();
        let (sign, names) = match comparison.strip_prefix(['!', '+', '-']) {
            Some(names) => (comparison.chars().next(), names),
            None => (None, comparison),
        };
        match sign {
            _ if names == "nothing" => {}
            Some('!') => {
                repairs.failed =
                    names.chars().map(|it| (key(it), "forbidden".to_owned())).collect();
            }
            Some('+') => {
                let with_field = |it| (key(it), vec![foreign_field(it)]);
                repairs.foreign_fields = names.chars().map(with_field).collect();
            }
            Some(_) => {
                repairs.foreign_fields = names.chars().map(|it| (key(it), Vec::new())).collect();
            }
            None => repairs.restored = names.chars().map(key).collect(),
        }
        repairs
    }

    fn key(name: char) -> ObjectKey {
        ObjectKey {
            group: String::new(),
            kind: "ConfigMap".to_owned(),
            namespace: Some("shop".to_owned()),
            name: name.to_string(),
        }
    }

    fn foreign_field(name: char) -> ForeignFields {
        ForeignFields { manager: "kubectl".to_owned(), paths: vec![format!("data.{name}")] }
    }
}
