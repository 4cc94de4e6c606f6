//! The tests that a page names exist.

use std::fs;
use std::path::Path;

use crate::pages::{page, root};

#[test]
fn every_test_that_stands_for_a_promise_exists() {
    let text = page("docs/reliability.md");
    let words =
        text.split('`').skip(1).step_by(2).map(|word| word.rsplit("::").next().expect("a name"));
    let names: Vec<&str> = words.filter(|word| word.matches('_').count() >= 3).collect();
    assert!(names.len() > 40, "the page has lost its tests");
    let sources = sources();
    for name in names {
        let declared = match name.trim_start_matches('…').strip_suffix('…') {
            Some(start) => format!("fn {start}"),
            None => format!("fn {name}("),
        };
        assert!(sources.contains(&declared), "docs/reliability.md: there is no test {name}");
    }
}

/// Returns the text of all Rust files of the repository.
fn sources() -> String {
    ["agent", "hub-sync", "tests"].map(|folder| text_in(&root().join(folder))).concat()
}

fn text_in(folder: &Path) -> String {
    let files = fs::read_dir(folder).expect("a folder of sources");
    let mut text = String::new();
    for path in files.map(|file| file.expect("a file").path()) {
        if path.is_dir() {
            text += &text_in(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(&path).expect("a source");
        }
    }
    text
}
