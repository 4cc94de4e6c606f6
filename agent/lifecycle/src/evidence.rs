//! Evidence of a failure, as one bounded text for a person, recorded before the rollback destroys it. Secrets are redacted.

mod line;
mod pod;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::ledger::failure::Failure;
use crate::redaction::Redaction;
use line::{join_reason, truncate};

pub use line::format_line;
pub use pod::format_pod;

/// Lines of a container's log that are recorded, the last ones.
pub const LOG_LINES: usize = 20;

/// Evidence ConfigMaps that are kept per add-on, the newest ones.
pub const MAX_KEPT: usize = 3;

/// Bytes for one object, with its pods and logs.
const MAX_PART: usize = 16 * 1024;

/// Bytes in total. A ConfigMap holds 1 MiB.
const MAX_TEXT: usize = 96 * 1024;

/// The name of the ConfigMap with the evidence of one operation.
pub fn config_map_name(add_on: &str, sequence: u64) -> String {
    format!("evidence-{add_on}-{sequence}")
}

/// Returns which of these ConfigMaps, each a name and a sequence, are to be deleted: all but the newest [`MAX_KEPT`].
pub fn outdated(config_maps: impl IntoIterator<Item = (String, u64)>) -> Vec<String> {
    let by_sequence: BTreeMap<u64, String> =
        config_maps.into_iter().map(|(name, sequence)| (sequence, name)).collect();
    by_sequence.into_values().rev().skip(MAX_KEPT).collect()
}

/// Returns the whole text: version, reason and cause of the failure, then one part per object. Each part is cut at 16 KiB,
/// the whole at 96 KiB.
pub fn format(failure: &Failure, parts: &[String], redaction: &Redaction) -> String {
    let Failure { release, cause, .. } = failure;
    let head = format!(
        "version: {}\nreason: {}\ncause: {}\n",
        release.version,
        cause.reason.name(),
        format_line(&cause.message, redaction)
    );
    let parts = parts.iter().map(|part| truncate(part, MAX_PART));
    let text = std::iter::once(head).chain(parts).collect::<Vec<_>>().join("\n");
    truncate(&text, MAX_TEXT)
}

/// Formats an event of core/v1 as one line that begins with its time.
pub fn format_event(event: &Value, redaction: &Redaction) -> String {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let count = event["count"].as_u64().unwrap_or(1);
    let times = [text("/lastTimestamp"), text("/eventTime"), text("/metadata/creationTimestamp")];
    let time = times.into_iter().find(|time| !time.is_empty()).unwrap_or_default();
    let details = join_reason([text("/type"), text("/reason"), text("/message")]);
    format_line(&format!("event {time} ({count}x) {details}"), redaction)
}

/// Formats the last [`LOG_LINES`] lines of a log that are not blank.
pub fn format_log(log: &str, redaction: &Redaction) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let skipped = lines.len().saturating_sub(LOG_LINES);
    let last = lines.into_iter().skip(skipped);
    last.map(|line| format!("    {}", format_line(line, redaction))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bundle::release::{Release, ReleaseId};
    use crate::reason::{Fault, Reason};

    #[test]
    fn the_last_lines_of_a_log_are_kept_without_escape_sequences() {
        let long: String =
            (1..=30).map(|n| format!("\u{1b}[31mline {n}\u{1b}[0m\tx\u{7}\n\n")).collect();
        let log = format_log(&long, &Redaction::default());
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[19]), (20, "    line 11 x ", "    line 30 x "));
        assert!(format_log(&"ä".repeat(5000), &Redaction::default()).len() < 420);
        assert_eq!(format_log("", &Redaction::default()), "");
    }

    #[test]
    fn an_event_is_formatted_with_time_and_count() {
        let object = json!({
            "type": "Warning", "reason": "FailedCreate", "message": "quota", "count": 4,
            "lastTimestamp": "2026-01-01T00:00:00Z",
        });
        let expected = "event 2026-01-01T00:00:00Z (4x) Warning FailedCreate: quota";
        assert_eq!(format_event(&object, &Redaction::default()), expected);
    }

    #[test]
    fn the_newest_three_are_kept() {
        let outdated = |sequences: &[u64]| {
            outdated(sequences.iter().map(|it| (config_map_name("shop", *it), *it)))
        };
        assert_eq!(outdated(&[2, 4, 11]), Vec::<String>::new());
        assert_eq!(outdated(&[4, 11, 2, 9, 3]), ["evidence-shop-3", "evidence-shop-2"]);
    }

    #[test]
    fn the_whole_text_is_bounded() {
        let failure = failure(Reason::TimedOut);
        let parts = vec!["x".repeat(100_000); 20];
        let text = format(&failure, &parts, &Redaction::default());
        assert!(
            text.starts_with("version: 1.0.0\nreason: TimedOut\ncause: not healthy in time\n\nxx")
        );
        assert!(text.len() < MAX_TEXT + 10);
    }

    fn failure(reason: Reason) -> Failure {
        Failure {
            sequence: 1,
            release: Release {
                id: ReleaseId("a".to_owned()),
                version: semver::Version::new(1, 0, 0),
                digest: String::new(),
            },
            cause: Fault::new(reason, "not healthy in time"),
        }
    }
}
