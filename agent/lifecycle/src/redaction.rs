//! Hides what is secret in a line of text: the values of the add-on's own Secrets wherever they stand, and what follows the
//! words by which programs announce secrets. What a program prints of secrets that nobody here knows, without such a
//! word, cannot be told from other text.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::object::Object;

const HIDDEN: &str = "***";

/// Shorter values, such as `true` or a port, would hide what is no secret.
const SHORTEST: usize = 6;

/// What follows one of these and `=` or `:` is hidden, in any case of letters.
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

/// Token schemes whose next word is hidden.
const SCHEMES: [&str; 2] = ["bearer ", "basic "];

/// Values that are secret, longest first.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    values: Vec<String>,
}

impl Redaction {
    /// Hides the values of all Secrets among these.
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Self {
        let secrets = objects.into_iter().filter(|object| object.kind() == "Secret");
        let values: BTreeSet<String> = secrets.flat_map(values).collect();
        let mut values: Vec<String> = values.into_iter().collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    pub fn redact(&self, line: &str) -> String {
        let known = self
            .values
            .iter()
            .fold(line.to_owned(), |line, value| line.replace(value.as_str(), HIDDEN));
        let schemes = SCHEMES.iter().fold(known, |line, scheme| hide_after(&line, scheme, false));
        let words = WORDS.iter().fold(schemes, |line, word| hide_after(&line, word, true));
        hide_user_info(&words)
    }
}

/// Whole, line by line, and in base64, as the API server shows them.
fn values(secret: &Object) -> Vec<String> {
    let text = |field: &str| {
        let fields = secret.0[field].as_object();
        let values = fields.into_iter().flat_map(|fields| fields.values());
        values.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let encoded = text("data");
    let given = text("stringData");
    let decode = |value: &String| String::from_utf8(BASE64_STANDARD.decode(value).ok()?).ok();
    let encode = |value: &String| BASE64_STANDARD.encode(value);
    let plain: Vec<String> =
        encoded.iter().filter_map(decode).chain(given.iter().cloned()).collect();
    let lines = plain.iter().flat_map(|value| value.lines()).map(|line| line.trim().to_owned());
    let encoded = encoded.iter().cloned().chain(given.iter().map(encode));
    let all = lines.chain(plain.iter().cloned()).chain(encoded);
    all.filter(|value| value.len() >= SHORTEST).collect()
}

/// Hides the word after each `word`; with `named` only where `=` or `:` stands between.
fn hide_after(line: &str, word: &str, named: bool) -> String {
    let mut hidden = String::new();
    let mut rest = line;
    while let Some(at) = find(rest, word) {
        let (before, after) = rest.split_at(at + word.len());
        hidden.push_str(before);
        rest = after;
        let lead = if named { introduction(rest) } else { Some(0) };
        let Some(lead) = lead else { continue };
        let (introduction, value) = rest.split_at(lead);
        let end = value.find(ends).unwrap_or(value.len());
        if end > 0 && !value.starts_with(HIDDEN) {
            hidden.push_str(introduction);
            hidden.push_str(HIDDEN);
            rest = value.get(end..).unwrap_or_default();
        }
    }
    hidden + rest
}

/// ASCII letters alone are compared without case, so that places stay the same.
fn find(text: &str, word: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(word)
}

/// How long what stands between a word and its value is: the rest of the name, quotes, `=` or `:`, blanks.
fn introduction(text: &str) -> Option<usize> {
    let sign = text.find(['=', ':'])?;
    let name = text.get(..sign)?;
    let named = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-\"'\\ ".contains(c));
    if !named || name.len() > 24 {
        return None;
    }
    let after = text.get(sign + 1..)?;
    let value = after.find(|c: char| !"=:\"'\\ ".contains(c))?;
    Some(sign + 1 + value)
}

fn ends(c: char) -> bool {
    c.is_whitespace() || "\"',;&\\})]".contains(c)
}

/// `scheme://user:password@host`
fn hide_user_info(line: &str) -> String {
    let mut hidden = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        hidden.push_str(before);
        let authority = after.find(|c: char| c.is_whitespace() || "/?#\"'".contains(c));
        let authority = after.get(..authority.unwrap_or(after.len())).unwrap_or_default();
        rest = after;
        if let Some(user) = authority.rfind('@') {
            hidden.push_str(HIDDEN);
            rest = after.get(user..).unwrap_or_default();
        }
    }
    hidden + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_programs_announce_as_secret_is_hidden() {
        let table = [
            ("nothing to hide here: 3 of 5", "nothing to hide here: 3 of 5"),
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
    fn values_of_the_add_ons_secrets_are_hidden_wherever_they_stand() {
        let secret = Object(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"},
            "data": {"key": "c3dvcmRmaXNoLTE=", "port": "NTQzMg=="},
            "stringData": {"many": "first-line\n  second-line\n", "one": "marlin-22"},
        }));
        let config = Object(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"plain": "not-a-secret"},
        }));
        let redaction = Redaction::of([&secret, &config]);
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
    fn no_line_stops_it() {
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
