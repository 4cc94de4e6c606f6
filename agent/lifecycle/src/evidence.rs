//! What is kept of a failure before the way back destroys it: one bounded text for a person. Secrets are masked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bundle::hook::Hook;
use crate::bundle::release::Release;
use crate::ledger::operation::Operation;
use crate::ledger::rollout::{RetryState, Rollout};
use crate::object::Object;
use crate::reason::{Fault, Reason};
use crate::redaction::Redaction;

/// Lines of a log that are kept.
pub const LOG_LINES: usize = 20;

/// Longer lines are cut.
const LONGEST_LINE: usize = 400;

/// One object's part, with its pods and logs.
const LONGEST_PART: usize = 16 * 1024;

/// All of it; a ConfigMap holds 1 MiB.
const LONGEST: usize = 96 * 1024;

/// Kept for each add-on; older ones are removed.
pub const KEPT: usize = 3;

/// What failed, of which evidence is still to be kept.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Of the operation.
    pub sequence: u64,
    pub release: Release,
    pub cause: Fault,
}

impl Failure {
    /// Before the first write only what was run for it can have failed.
    pub fn is_about(&self, object: &Object) -> bool {
        self.cause.reason != Reason::HookFailed || Hook::of(object) == Some(Hook::PreUpgrade)
    }
}

impl Rollout {
    /// Evidence is kept before anything else is done.
    pub(crate) fn keep_evidence(mut self, cause: &Fault) -> Self {
        let failure = |operation: &Operation| {
            let release = operation.target.clone()?;
            Some(Failure { sequence: operation.sequence, release, cause: cause.clone() })
        };
        self.failure = self.operation.as_ref().and_then(failure);
        self
    }

    /// Whatever came of it, it is tried once: the way back waits for nothing that can fail.
    pub(crate) fn evidence_kept(mut self, name: Option<&str>) -> Self {
        let Some(failure) = self.failure.take() else { return self };
        self.retry_state = RetryState::default();
        let name = name.map(str::to_owned);
        if let Some(operation) = &mut self.operation
            && operation.sequence == failure.sequence
        {
            operation.evidence.clone_from(&name);
        }
        let entry = self.history.iter_mut().find(|entry| entry.sequence == failure.sequence);
        if let Some(entry) = entry {
            entry.evidence = name;
        }
        self
    }
}

/// The name of the ConfigMap.
pub fn name(add_on: &str, sequence: u64) -> String {
    format!("evidence-{add_on}-{sequence}")
}

/// Which of these `(name, sequence)` are to be removed: all but the newest [`KEPT`].
pub fn outdated(kept: impl IntoIterator<Item = (String, u64)>) -> Vec<String> {
    let by_sequence: BTreeMap<u64, String> =
        kept.into_iter().map(|(name, sequence)| (sequence, name)).collect();
    by_sequence.into_values().rev().skip(KEPT).collect()
}

/// The whole text.
pub fn text(failure: &Failure, parts: &[String], redaction: &Redaction) -> String {
    let Failure { release, cause, .. } = failure;
    let head = format!(
        "version: {}\nreason: {}\ncause: {}\n",
        release.version,
        cause.reason.name(),
        line(&cause.message, redaction)
    );
    let parts = parts.iter().map(|part| cut(part, LONGEST_PART));
    let text = std::iter::once(head).chain(parts).collect::<Vec<_>>().join("\n");
    cut(&text, LONGEST)
}

/// What a pod says of itself: conditions that are not as they should be, and its containers.
pub fn pod(pod: &Object, redaction: &Redaction) -> String {
    let text = |pointer: &str| pod.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut lines = vec![format!(
        "pod {}: {}",
        pod.name(),
        said([text("/status/phase"), text("/status/reason"), text("/status/message")])
    )];
    for condition in list(&pod.0, "/status/conditions") {
        let of = |name: &str| condition[name].as_str().unwrap_or_default();
        if of("status") != "True" {
            lines.push(format!(
                "  condition {} {}",
                of("type"),
                said([of("status"), of("reason"), of("message")])
            ));
        }
    }
    for pointer in ["/status/initContainerStatuses", "/status/containerStatuses"] {
        lines.extend(list(&pod.0, pointer).iter().map(container));
    }
    lines.iter().map(|it| line(it, redaction)).collect::<Vec<_>>().join("\n")
}

fn container(status: &Value) -> String {
    let name = status["name"].as_str().unwrap_or_default();
    let restarts = status["restartCount"].as_u64().unwrap_or_default();
    let last = state(&status["lastState"]);
    let last = if last.is_empty() { last } else { format!("; before: {last}") };
    format!("  container {name}: {}; {restarts} restarts{last}", state(&status["state"]))
}

/// `waiting CrashLoopBackOff: back-off 10s`, `terminated Error, exit code 1`.
fn state(state: &Value) -> String {
    let Some((name, of)) = state.as_object().and_then(|state| state.iter().next()) else {
        return String::new();
    };
    let text = |field: &str| of[field].as_str().unwrap_or_default();
    let said = said([name, text("reason"), text("message")]);
    match of["exitCode"].as_i64() {
        Some(code) => format!("{said}, exit code {code}"),
        None => said,
    }
}

/// `name reason: message`, without what is empty.
fn said([name, reason, message]: [&str; 3]) -> String {
    let head = [name, reason].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
    let head = head.join(" ");
    if message.is_empty() { head } else { format!("{head}: {message}") }
}

/// One event in a line; the field names are those of core/v1.
pub fn event(event: &Value, redaction: &Redaction) -> String {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let times = event["count"].as_u64().unwrap_or(1);
    let when = [text("/lastTimestamp"), text("/eventTime"), text("/metadata/creationTimestamp")];
    let when = when.into_iter().find(|when| !when.is_empty()).unwrap_or_default();
    let said = said([text("/type"), text("/reason"), text("/message")]);
    line(&format!("event {when} ({times}x) {said}"), redaction)
}

/// The last lines of a log.
pub fn log(log: &str, redaction: &Redaction) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.len().saturating_sub(LOG_LINES);
    let last = lines.into_iter().skip(last);
    last.map(|it| format!("    {}", line(it, redaction))).collect::<Vec<_>>().join("\n")
}

/// One printable line, masked before it is cut.
pub fn line(text: &str, redaction: &Redaction) -> String {
    cut(&redaction.redact(&printable(text)), LONGEST_LINE)
}

/// Without escape sequences, as they colour terminals, and other control characters.
fn printable(text: &str) -> String {
    let mut chars = text.chars().peekable();
    let mut line = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                // To the letter that ends the sequence.
                _ = chars.by_ref().skip(1).find(|c| c.is_ascii_alphabetic());
            }
            c if c.is_control() => line.push(' '),
            c => line.push(c),
        }
    }
    line
}

fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let end = (0..=longest).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{}…", text.get(..end).unwrap_or_default())
}

fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::names::annotation;

    #[test]
    fn a_pod_is_told_in_a_few_lines() {
        let object = Object(json!({
            "metadata": {"name": "web-1", "namespace": "shop"},
            "status": {
                "phase": "Running",
                "conditions": [
                    {"type": "Initialized", "status": "True"},
                    {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "web"},
                ],
                "containerStatuses": [{
                    "name": "web", "restartCount": 3,
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
                    "lastState": {"terminated": {"reason": "Error", "exitCode": 1}},
                }],
            },
        }));
        let expected = "pod web-1: Running
  condition Ready False ContainersNotReady: web
  container web: waiting CrashLoopBackOff: back-off 40s; 3 restarts; before: terminated Error, exit code 1";
        assert_eq!(pod(&object, &Redaction::default()), expected);
    }

    #[test]
    fn of_a_log_the_last_lines_are_kept_without_what_colours_them() {
        let long: String =
            (1..=30).map(|n| format!("\u{1b}[31mline {n}\u{1b}[0m\tx\u{7}\n\n")).collect();
        let kept = log(&long, &Redaction::default());
        let lines: Vec<&str> = kept.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[19]), (20, "    line 11 x ", "    line 30 x "));
        assert!(log(&"ä".repeat(5000), &Redaction::default()).len() < 420);
        assert_eq!(log("", &Redaction::default()), "");
    }

    #[test]
    fn events_say_how_often_and_when() {
        let seen = json!({
            "type": "Warning", "reason": "FailedCreate", "message": "quota", "count": 4,
            "lastTimestamp": "2026-01-01T00:00:00Z",
        });
        let expected = "event 2026-01-01T00:00:00Z (4x) Warning FailedCreate: quota";
        assert_eq!(event(&seen, &Redaction::default()), expected);
    }

    #[test]
    fn of_a_hook_before_the_first_write_only_hooks_tell() {
        let hook =
            |hook: &str| Object(json!({"metadata": {"annotations": {annotation::HOOK: hook}}}));
        let objects = [hook("pre-upgrade"), hook("verify"), Object(json!({"metadata": {}}))];
        let about = |reason| {
            let failure = failure(reason);
            objects.iter().map(|object| failure.is_about(object)).collect::<Vec<_>>()
        };
        assert_eq!(about(Reason::HookFailed), [true, false, false]);
        assert_eq!(about(Reason::TimedOut), [true, true, true]);
    }

    #[test]
    fn the_newest_three_are_kept() {
        let kept = |sequences: &[u64]| {
            outdated(sequences.iter().map(|sequence| (name("shop", *sequence), *sequence)))
        };
        assert_eq!(kept(&[2, 4, 11]), Vec::<String>::new());
        assert_eq!(kept(&[4, 11, 2, 9, 3]), ["evidence-shop-3", "evidence-shop-2"]);
    }

    #[test]
    fn the_whole_is_bounded() {
        let failure = failure(Reason::TimedOut);
        let parts = vec!["x".repeat(100_000); 20];
        let text = text(&failure, &parts, &Redaction::default());
        assert!(
            text.starts_with("version: 1.0.0\nreason: TimedOut\ncause: not healthy in time\n\nxx")
        );
        assert!(text.len() < LONGEST + 10);
    }

    fn failure(reason: Reason) -> Failure {
        Failure {
            sequence: 1,
            release: Release {
                id: crate::ReleaseId("a".to_owned()),
                version: semver::Version::new(1, 0, 0),
                digest: String::new(),
            },
            cause: Fault::new(reason, "not healthy in time"),
        }
    }
}
