//! Reads multi-document YAML within tight limits, the way `kubectl` reads it.

use serde_json::Value;
use serde_saphyr::{Options, UserMessageFormatter};

use crate::bundle::limits::MAX_BUNDLE_BYTES;
use crate::reason::{Fault, Reason};

/// A file of a bundle.
pub struct File {
    /// For messages; absent where the bundle is one file.
    pub name: Option<String>,
    pub bytes: Vec<u8>,
}

/// Ends a document: the next one begins as if nothing had been before it.
const END: &[u8] = b"...\n";

/// Each document of all files, which are read as one: the limits are a bundle's. Empty ones are left out.
///
/// # Errors
/// `BundleTooLarge` above `MAX_BUNDLE_BYTES`; `InvalidBundle` for what is no UTF-8, no YAML, an archive or over a limit. Of
/// the content, the lines around a mistake are not repeated, nor are values.
pub fn documents_of(files: &[File]) -> Result<Vec<Value>, Fault> {
    let length: u64 = files.iter().map(|file| file.bytes.len() as u64).sum();
    if length > MAX_BUNDLE_BYTES {
        let message = format!("the bundle is larger than {MAX_BUNDLE_BYTES} bytes");
        return Err(Fault::new(Reason::BundleTooLarge, message));
    }
    if files.iter().any(|file| is_archive(&file.bytes)) {
        let message = "an archive; the YAML files are wanted as they are";
        return Err(Fault::new(Reason::InvalidBundle, message));
    }
    match files {
        [file] => parse(&file.bytes),
        files => parse(&joined(files)),
    }
}

/// Each document of one file; as [`documents_of`].
pub fn documents(bytes: &[u8]) -> Result<Vec<Value>, Fault> {
    documents_of(&[File { name: None, bytes: bytes.to_vec() }])
}

fn joined(files: &[File]) -> Vec<u8> {
    let length = files.iter().map(|file| file.bytes.len() + 1 + END.len()).sum();
    let mut all = Vec::with_capacity(length);
    for file in files {
        all.extend_from_slice(without_mark(&file.bytes));
        if !all.ends_with(b"\n") {
            all.push(b'\n');
        }
        all.extend_from_slice(END);
    }
    all
}

/// A byte order mark is one at the beginning only.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn parse(bytes: &[u8]) -> Result<Vec<Value>, Fault> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Fault::new(Reason::InvalidBundle, format!("not UTF-8: {e}")))?;
    serde_saphyr::from_multiple_with_options(text, options()).map_err(|e| {
        let said = e.render_with_formatter(&UserMessageFormatter);
        Fault::new(Reason::InvalidBundle, format!("not YAML: {}", without_value(said)))
    })
}

/// A token such as 8e38291029 is a number to YAML, and too large a one; it may be a Secret's.
fn without_value(said: String) -> String {
    match said.split_once("` is not a finite number") {
        Some((_, place)) => format!("a value is not a finite number{place}; put it in quotes"),
        None => said,
    }
}

/// By the marks of gzip, Zstandard and tar: what packs manifests elsewhere.
fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x1f\x8b")
        || bytes.starts_with(b"\x28\xb5\x2f\xfd")
        || bytes.get(257..262) == Some(b"ustar")
}

/// Bounds: 8 MiB of input come first. Aliases are what makes small input large, so few are allowed; a depth of 64 is
/// twice what a CRD's schema needs.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_aliases: 100,
            max_anchors: 100,
            max_depth: 64,
            max_documents: 1_000,
            max_nodes: 500_000,
            max_events: 1_500_000,
            max_total_scalar_bytes: 16 * 1024 * 1024,
        },
        // `defaultMode: 0644` means 420 to kubectl.
        legacy_octal_numbers: true,
        // The lines around a mistake may be a Secret's.
        with_snippet: false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_read_as_kubectl_reads_them() {
        let text = b"\xef\xbb\xbf# comment\n---\na: 0644\nb: yes\n---\n---\nc: [1, x]\n";
        let read = documents(text).unwrap();
        assert_eq!(read, [json!({"a": 420, "b": true}), json!({"c": [1, "x"]})]);
    }

    fn files(contents: &[&[u8]]) -> Vec<File> {
        contents.iter().map(|bytes| File { name: None, bytes: bytes.to_vec() }).collect()
    }

    #[test]
    fn each_file_begins_anew() {
        let read = documents_of(&files(&[
            b"a: 1",
            b"# nothing",
            b"",
            b"%YAML 1.2\n---\nb: |+\n  text\n",
            b"\xef\xbb\xbfc: 3\n...\n",
            b"---\nd: 4\n---\ne: 5\n",
        ]));
        let wanted = [
            json!({"a": 1}),
            json!({"b": "text\n"}),
            json!({"c": 3}),
            json!({"d": 4}),
            json!({"e": 5}),
        ];
        assert_eq!(read.unwrap(), wanted);
    }

    #[test]
    fn what_is_in_one_file_is_nothing_to_another() {
        let comment = format!("# {}ustar\n", "x".repeat(257 - 7));
        assert_eq!(documents_of(&files(&[b"a: 1", comment.as_bytes()])).unwrap().len(), 1);
        let half = vec![b'#'; 4 * 1024 * 1024];
        assert_eq!(documents_of(&files(&[&half, &half])), Ok(vec![]));
        let more = documents_of(&files(&[&half, &half, b"#"])).expect_err("too large");
        assert_eq!(more.reason, Reason::BundleTooLarge);
    }

    #[test]
    fn the_limits_are_those_of_all_files_together() {
        let many = "---\na: 1\n".repeat(600);
        let refused = documents_of(&files(&[many.as_bytes(), many.as_bytes()]));
        assert_eq!(refused.err().map(|fault| fault.reason), Some(Reason::InvalidBundle));
    }

    #[test]
    fn what_is_no_bounded_yaml_is_refused() {
        let bomb = format!(
            "a: &a [x,x,x,x,x,x,x,x,x]\n{}",
            ('b'..='j')
                .map(|c| {
                    let before = char::from(c as u8 - 1);
                    format!("{c}: &{c} [*{before},*{before},*{before},*{before},*{before},*{before},*{before},*{before},*{before}]\n")
                })
                .collect::<String>()
        );
        for (what, text) in [
            ("tabs", "a:\n\tb: 1".to_owned()),
            ("a template", "a: {{ .Values.x }}".to_owned()),
            ("duplicate keys", "a: 1\na: 2".to_owned()),
            ("an alias bomb", bomb),
            ("deep nesting", "[".repeat(10_000)),
            ("too many documents", "---\na: 1\n".repeat(1_100)),
        ] {
            let refused = documents(text.as_bytes()).err().map(|fault| fault.reason);
            assert_eq!(refused, Some(Reason::InvalidBundle), "{what}");
        }
        let huge = vec![b'a'; 50 * 1024 * 1024];
        assert_eq!(documents(&huge).err().map(|f| f.reason), Some(Reason::BundleTooLarge));
        assert_eq!(documents(b"\xff\xfe").err().map(|f| f.reason), Some(Reason::InvalidBundle));
    }

    #[test]
    fn a_mistake_is_told_without_the_lines_around_it() {
        let fault = documents(b"a: hunter2\nb: 1\nb: hunter2").expect_err("a duplicate");
        let told = "not YAML: duplicate mapping key `b` is not allowed here at line 3, column 1";
        assert_eq!(fault.message, told);
        let fault = documents(b"a: 1\npassword: 8e38291029\n").expect_err("no number");
        let told =
            "not YAML: a value is not a finite number at line 2, column 11; put it in quotes";
        assert_eq!(fault.message, told);
    }
}
