//! Reads multi-document YAML within tight limits, as `kubectl` reads it.

use serde_json::Value;
use serde_saphyr::{Options, UserMessageFormatter};

use super::limits::MAX_BUNDLE_BYTES;
use crate::reason::{Fault, Reason};

/// A file of a bundle.
pub struct File {
    /// Name for messages; absent if the bundle is one file.
    pub name: Option<String>,
    /// Content as pulled.
    pub bytes: Vec<u8>,
}

/// Ends a document, so that the next one is read as the first one of a file.
const DOCUMENT_END: &[u8] = b"...\n";

/// Parses the documents of all files of a bundle, in order, without empty files. The limits are those of the bundle as a
/// whole, so the files are read as one text.
///
/// # Errors
/// - `BundleTooLarge`: the files have more than [`MAX_BUNDLE_BYTES`].
/// - `InvalidBundle`: a file is not UTF-8 or not YAML, has duplicate keys, is an archive or exceeds a limit of the parser.
///
/// The message repeats neither values nor the lines around an error, because they may be a Secret's.
pub fn parse_files(files: &[File]) -> Result<Vec<Value>, Fault> {
    let length: u64 = files.iter().map(|file| file.bytes.len() as u64).sum();
    if length > MAX_BUNDLE_BYTES {
        let message = format!("the bundle is larger than {MAX_BUNDLE_BYTES} bytes");
        return Err(Fault::new(Reason::BundleTooLarge, message));
    }
    if files.iter().any(|file| is_archive(&file.bytes)) {
        let message = "an archive; provide the YAML files themselves";
        return Err(Fault::new(Reason::InvalidBundle, message));
    }
    match files {
        [file] => parse(&file.bytes),
        files => parse(&join(files)),
    }
}

/// Parses the documents of one file.
///
/// # Errors
/// As [`parse_files`].
pub fn parse_file(bytes: &[u8]) -> Result<Vec<Value>, Fault> {
    parse_files(&[File { name: None, bytes: bytes.to_vec() }])
}

fn join(files: &[File]) -> Vec<u8> {
    let length = files.iter().map(|file| file.bytes.len() + 1 + DOCUMENT_END.len()).sum();
    let mut joined = Vec::with_capacity(length);
    for file in files {
        joined.extend_from_slice(strip_byte_order_mark(&file.bytes));
        if !joined.ends_with(b"\n") {
            joined.push(b'\n');
        }
        joined.extend_from_slice(DOCUMENT_END);
    }
    joined
}

/// A byte order mark is legal only at the beginning of a text.
fn strip_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn parse(bytes: &[u8]) -> Result<Vec<Value>, Fault> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Fault::new(Reason::InvalidBundle, format!("not UTF-8: {e}")))?;
    serde_saphyr::from_multiple_with_options(text, options()).map_err(|e| {
        let message = e.render_with_formatter(&UserMessageFormatter);
        Fault::new(Reason::InvalidBundle, format!("not YAML: {}", without_value(message)))
    })
}

/// To YAML a token such as 8e38291029 is a number, and one that is too large. It may be a Secret's.
fn without_value(message: String) -> String {
    match message.split_once("` is not a finite number") {
        Some((_, place)) => format!("a value is not a finite number{place}; put it in quotes"),
        None => message,
    }
}

/// Detects gzip, Zstandard and tar, in which other tools pack manifests, by their magic numbers.
fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x1f\x8b")
        || bytes.starts_with(b"\x28\xb5\x2f\xfd")
        || bytes.get(257..262) == Some(b"ustar")
}

/// Limits in addition to 8 MiB of input. Few aliases are allowed, because they make small input large. A depth of 64 is
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
        // The lines around an error may be a Secret's.
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
        let read = parse_file(text).unwrap();
        assert_eq!(read, [json!({"a": 420, "b": true}), json!({"c": [1, "x"]})]);
    }

    fn files(contents: &[&[u8]]) -> Vec<File> {
        contents.iter().map(|bytes| File { name: None, bytes: bytes.to_vec() }).collect()
    }

    #[test]
    fn each_file_begins_with_a_new_document() {
        let read = parse_files(&files(&[
            b"a: 1",
            b"# nothing",
            b"",
            b"%YAML 1.2\n---\nb: |+\n  text\n",
            b"\xef\xbb\xbfc: 3\n...\n",
            b"---\nd: 4\n---\ne: 5\n",
        ]));
        let expected = [
            json!({"a": 1}),
            json!({"b": "text\n"}),
            json!({"c": 3}),
            json!({"d": 4}),
            json!({"e": 5}),
        ];
        assert_eq!(read.unwrap(), expected);
    }

    #[test]
    fn the_content_of_one_file_does_not_affect_another() {
        let comment = format!("# {}ustar\n", "x".repeat(257 - 7));
        assert_eq!(parse_files(&files(&[b"a: 1", comment.as_bytes()])).unwrap().len(), 1);
        let half = vec![b'#'; 4 * 1024 * 1024];
        assert_eq!(parse_files(&files(&[&half, &half])), Ok(vec![]));
        let larger = parse_files(&files(&[&half, &half, b"#"])).expect_err("too large");
        assert_eq!(larger.reason, Reason::BundleTooLarge);
    }

    #[test]
    fn the_limits_are_those_of_all_files_together() {
        let many = "---\na: 1\n".repeat(600);
        let rejected = parse_files(&files(&[many.as_bytes(), many.as_bytes()]));
        assert_eq!(rejected.err().map(|fault| fault.reason), Some(Reason::InvalidBundle));
    }

    #[test]
    fn everything_but_bounded_yaml_is_rejected() {
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
            let rejected = parse_file(text.as_bytes()).err().map(|fault| fault.reason);
            assert_eq!(rejected, Some(Reason::InvalidBundle), "{what}");
        }
        let huge = vec![b'a'; 50 * 1024 * 1024];
        assert_eq!(parse_file(&huge).err().map(|f| f.reason), Some(Reason::BundleTooLarge));
        assert_eq!(parse_file(b"\xff\xfe").err().map(|f| f.reason), Some(Reason::InvalidBundle));
    }

    #[test]
    fn an_error_is_reported_without_the_lines_around_it() {
        let fault = parse_file(b"a: hunter2\nb: 1\nb: hunter2").expect_err("a duplicate");
        let message = "not YAML: duplicate mapping key `b` is not allowed here at line 3, column 1";
        assert_eq!(fault.message, message);
        let fault = parse_file(b"a: 1\npassword: 8e38291029\n").expect_err("no number");
        let message =
            "not YAML: a value is not a finite number at line 2, column 11; put it in quotes";
        assert_eq!(fault.message, message);
    }
}
