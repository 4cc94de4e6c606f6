//! Lines of evidence: printable, bounded and redacted.

use crate::redaction::Redaction;

/// Bytes of a line.
const MAX_LINE: usize = 400;

/// Returns `name reason: message` without the parts that are empty.
pub(super) fn join_reason([name, reason, message]: [&str; 3]) -> String {
    let head = [name, reason].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
    let head = head.join(" ");
    if message.is_empty() { head } else { format!("{head}: {message}") }
}

/// Returns one printable line of at most 400 bytes, redacted before it is cut.
pub fn format_line(text: &str, redaction: &Redaction) -> String {
    truncate(&redaction.redact(&without_control(text)), MAX_LINE)
}

/// Removes escape sequences, such as those that colour terminals, and replaces other control characters by blanks.
fn without_control(text: &str) -> String {
    let mut chars = text.chars().peekable();
    let mut line = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                // A letter ends the sequence.
                _ = chars.by_ref().skip(1).find(|c| c.is_ascii_alphabetic());
            }
            c if c.is_control() => line.push(' '),
            c => line.push(c),
        }
    }
    line
}

/// Cuts a text after this many bytes, between characters, and marks the cut by `…`.
pub(super) fn truncate(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{}…", text.get(..end).unwrap_or_default())
}
