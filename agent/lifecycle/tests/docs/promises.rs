//! The tests that a page names exist.

use crate::pages::{page, sources};

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
