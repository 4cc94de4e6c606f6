//! Conditions of hub-sync in the list of a `ManagedClusterAddOn`, next to those of other writers. Pure.

use serde_json::{Value, json};

/// A condition that hub-sync writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The field `type`.
    pub kind: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    pub reason: String,
    pub message: String,
}

/// Returns the whole list with `ours` in it; `None` if nothing changes. `time` is when the newest change happened.
pub fn merge(existing: &[Value], ours: &[Condition], time: &str) -> Option<Vec<Value>> {
    let mut list = existing.to_vec();
    for condition in ours {
        match list.iter_mut().find(|it| it["type"] == condition.kind) {
            Some(old) if condition.is_equal(old) => {}
            Some(old) => *old = condition.replacing(old, time),
            None => list.push(condition.since(time)),
        }
    }
    (list != existing).then_some(list)
}

impl Condition {
    /// Returns a condition whose status is known.
    pub fn new(kind: &'static str, status: bool, reason: &str, message: String) -> Self {
        let status = if status { "True" } else { "False" };
        Self { kind, status, reason: reason.to_owned(), message }
    }

    fn is_equal(&self, old: &Value) -> bool {
        old["status"] == self.status
            && old["reason"] == self.reason
            && old["message"] == self.message
    }

    /// The transition time changes with the status only.
    fn replacing(&self, old: &Value, time: &str) -> Value {
        match old["lastTransitionTime"].as_str() {
            Some(since) if old["status"] == self.status => self.since(since),
            Some(_) | None => self.since(time),
        }
    }

    fn since(&self, time: &str) -> Value {
        json!({
            "type": self.kind,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "lastTransitionTime": time,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T10:01:00Z";
    const LATER: &str = "2027-01-01T00:00:00Z";

    #[test]
    fn conditions_of_other_writers_survive_in_their_places() {
        let existing = [
            json!({"type": "Available", "status": "True", "more": 1}),
            json!({"type": "Degraded", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}),
            json!({"type": "Custom"}),
        ];
        let list = merge(&existing, &available(), NOW).unwrap();
        assert_eq!((&list[0], &list[2]), (&existing[0], &existing[2]));
        assert_eq!(
            (&list[1]["status"], &list[1]["lastTransitionTime"]),
            (&json!("False"), &json!(NOW))
        );
        assert_eq!(list.len(), 3 + 1);
    }

    #[test]
    fn a_list_that_already_holds_the_conditions_is_not_written() {
        let list = merge(&[], &available(), NOW).unwrap();
        assert_eq!(merge(&list, &available(), LATER), None);
    }

    #[test]
    fn the_transition_time_changes_with_the_status_only() {
        let list = merge(&[], &available(), NOW).unwrap();
        let next = [
            Condition::new("Rollout", false, "Verifying", "1 of 2 ready".to_owned()),
            Condition::new("Degraded", false, "Verifying", String::new()),
        ];
        let list = merge(&list, &next, LATER).unwrap();
        let times = list.iter().map(|it| it["lastTransitionTime"].as_str().unwrap());
        assert_eq!(times.collect::<Vec<_>>(), [LATER, NOW]);
    }

    fn available() -> [Condition; 2] {
        [
            Condition::new("Rollout", true, "Available", "1.5.0 runs".to_owned()),
            Condition::new("Degraded", false, "Available", String::new()),
        ]
    }
}
