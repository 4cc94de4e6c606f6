//! Redaction: replaces secret values in a text by `***`. It finds the values of the add-on's Secrets wherever they appear, and
//! the text that follows the words by which programs announce secrets. A secret that a program prints without such a word,
//! and that is in no Secret of the add-on, cannot be recognized.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::kind::KnownKind;
use crate::object::Object;

const REDACTED: &str = "***";

/// Bytes. Shorter values, such as `true` or a port, also appear in text that is not secret.
const MIN_LENGTH: usize = 6;

/// Bytes that the rest of a name may have between a word and `=` or `:`.
const MAX_NAME_REST: usize = 24;

/// The value after one of these words and `=` or `:` is secret. Upper and lower case are the same.
const WORDS: [&str; 11] = [
    "authorization",
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "credential",
    "private_key",
];

/// HTTP authentication schemes: the next word is secret.
const SCHEMES: [&str; 2] = ["bearer ", "basic "];

/// The secret values of one add-on. The default knows none, and redacts only what words announce.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    /// Longest first, so that a value that contains another is replaced as a whole.
    values: Vec<String>,
}

impl Redaction {
    /// Collects the values of all Secrets among these objects: whole, line by line, in plain text and in base64. Values of
    /// less than six bytes are left out.
    pub fn from_secrets<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Self {
        let secrets = objects.into_iter().filter(|object| object.is(KnownKind::Secret));
        let values: BTreeSet<String> = secrets.flat_map(secret_values).collect();
        let mut values: Vec<String> = values.into_iter().collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// Returns the text with `***` in place of each secret.
    pub fn redact(&self, text: &str) -> String {
        let text = self
            .values
            .iter()
            .fold(text.to_owned(), |text, value| text.replace(value.as_str(), REDACTED));
        let text =
            SCHEMES.iter().fold(text, |text, scheme| redact_after(&text, scheme, |_| Some(0)));
        let text = WORDS.iter().fold(text, |text, word| redact_after(&text, word, find_assigned));
        redact_user_info(&text)
    }
}

fn secret_values(secret: &Object) -> Vec<String> {
    let strings = |field: &str| {
        let fields = secret.0[field].as_object();
        let values = fields.into_iter().flat_map(|fields| fields.values());
        values.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let (data, string_data) = (strings("data"), strings("stringData"));
    let decode = |value: &String| String::from_utf8(BASE64_STANDARD.decode(value).ok()?).ok();
    let encode = |value: &String| BASE64_STANDARD.encode(value);
    let plain: Vec<String> =
        data.iter().filter_map(decode).chain(string_data.iter().cloned()).collect();
    let lines = plain.iter().flat_map(|value| value.lines()).map(|line| line.trim().to_owned());
    let encoded = data.iter().cloned().chain(string_data.iter().map(encode));
    let all = lines.chain(plain.iter().cloned()).chain(encoded);
    all.filter(|value| value.len() >= MIN_LENGTH).collect()
}

/// Redacts the value after each `word`. `find_value` returns where it starts in the text that follows the word.
fn redact_after(text: &str, word: &str, find_value: fn(&str) -> Option<usize>) -> String {
    let mut redacted = String::new();
    let mut rest = text;
    while let Some(start) = find_ignoring_case(rest, word) {
        let (before, after) = rest.split_at(start + word.len());
        redacted.push_str(before);
        rest = after;
        let Some(value_start) = find_value(rest) else { continue };
        let (between, value) = rest.split_at(value_start);
        let end = value.find(is_value_end).unwrap_or(value.len());
        if end > 0 && !value.starts_with(REDACTED) {
            redacted.push_str(between);
            redacted.push_str(REDACTED);
            rest = value.get(end..).unwrap_or_default();
        }
    }
    redacted + rest
}

/// Ignores the case of ASCII letters only: positions in the lowercase text are those in the text.
fn find_ignoring_case(text: &str, word: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(word)
}

/// Returns where an assigned value starts: after the rest of a name, quotes, `=` or `:`, and blanks.
fn find_assigned(text: &str) -> Option<usize> {
    let sign = text.find(['=', ':'])?;
    let name = text.get(..sign)?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-\"'\\ ".contains(c));
    if !is_name || name.len() > MAX_NAME_REST {
        return None;
    }
    let after = text.get(sign + 1..)?;
    let value = after.find(|c: char| !"=:\"'\\ ".contains(c))?;
    Some(sign + 1 + value)
}

fn is_value_end(c: char) -> bool {
    c.is_whitespace() || "\"',;&\\})]".contains(c)
}

/// Redacts user and password in URLs: `scheme://user:password@host`.
fn redact_user_info(text: &str) -> String {
    let mut redacted = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        redacted.push_str(before);
        let authority = after.find(|c: char| c.is_whitespace() || "/?#\"'".contains(c));
        let authority = after.get(..authority.unwrap_or(after.len())).unwrap_or_default();
        rest = after;
        if let Some(user_info) = authority.rfind('@') {
            redacted.push_str(REDACTED);
            rest = after.get(user_info..).unwrap_or_default();
        }
    }
    redacted + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_that_programs_announce_as_secret_are_redacted() {
        let table = [
            ("nothing to redact here: 3 of 5", "nothing to redact here: 3 of 5"),
            ("Authorization: Bearer abc.def.ghi", "Authorization: *** ***"),
            ("sent bearer abc.def, got 401", "sent bearer ***, got 401"),
            ("password=hunter2 user=x", "password=*** user=x"),
            ("PASSWORD = 'hunter2'", "PASSWORD = '***'"),
            (r#"{"db_password": "hunter2", "port": 1}"#, r#"{"db_password": "***", "port": 1}"#),
            (r#"{\"token\":\"abc\"}"#, r#"{\"token\":\"***\"}"#),
            ("DB_PASSWORD_FILE=/run/x", "DB_PASSWORD_FILE=***"),
            ("?api_key=1234&x=2", "?api_key=***&x=2"),
            ("client_secret: s3cr3t; retry", "client_secret: ***; retry"),
            ("postgres://me:hunter2@db:5432/x", "postgres://***@db:5432/x"),
            ("https://example.com/a@b", "https://example.com/a@b"),
            ("wrong password", "wrong password"),
            ("the token expired at noon: again", "the token expired at noon: ***"),
            ("Passwörter: ÄÖ password=ä", "Passwörter: ÄÖ password=***"),
        ];
        for (line, expected) in table {
            assert_eq!(Redaction::default().redact(line), expected);
        }
    }

    #[test]
    fn values_of_the_add_ons_secrets_are_redacted_wherever_they_appear() {
        let secret = Object(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"},
            "data": {"key": "c3dvcmRmaXNoLTE=", "port": "NTQzMg=="},
            "stringData": {"many": "first-line\n  second-line\n", "one": "marlin-22"},
        }));
        let config = Object(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"plain": "not-a-secret"},
        }));
        let redaction = Redaction::from_secrets([&secret, &config]);
        for (line, expected) in [
            ("connecting with swordfish-1 to 5432", "connecting with *** to 5432"),
            ("raw c3dvcmRmaXNoLTE=", "raw ***"),
            ("given as text marlin-22, raw bWFybGluLTIy", "given as text ***, raw ***"),
            ("a second-line b first-line", "a *** b ***"),
            ("not-a-secret", "not-a-secret"),
        ] {
            assert_eq!(redaction.redact(line), expected);
        }
    }

    #[test]
    fn no_line_makes_it_panic() {
        for line in [
            "password",
            "password=",
            "token:",
            "bearer ",
            "://",
            "@://@",
            "password=\"",
            "secret : : :",
        ] {
            _ = Redaction::default().redact(&line.repeat(3));
        }
    }
}
