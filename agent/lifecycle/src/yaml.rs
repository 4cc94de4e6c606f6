//! Reads multi-document YAML within tight limits, the way `kubectl` reads it.

use serde_json::Value;
use serde_saphyr::{Options, UserMessageFormatter};

use crate::assignment::LARGEST_BUNDLE;
use crate::reason::{Fault, Reason};

/// Each document; empty ones are left out.
///
/// # Errors
/// `BundleTooLarge` above `LARGEST_BUNDLE`; `InvalidBundle` for what is no UTF-8, no YAML or over a limit. Of the
/// content, the lines around a mistake are not repeated.
pub fn documents(bytes: &[u8]) -> Result<Vec<Value>, Fault> {
    if bytes.len() as u64 > LARGEST_BUNDLE {
        let message = format!("the bundle is larger than {LARGEST_BUNDLE} bytes");
        return Err(Fault::new(Reason::BundleTooLarge, message));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Fault::new(Reason::InvalidBundle, format!("the bundle is not UTF-8: {e}")))?;
    serde_saphyr::from_multiple_with_options(text, options()).map_err(|e| {
        let said = e.render_with_formatter(&UserMessageFormatter);
        Fault::new(Reason::InvalidBundle, format!("not YAML: {said}"))
    })
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
    }
}
