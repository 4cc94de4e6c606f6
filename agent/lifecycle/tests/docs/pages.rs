//! Reads the pages of the documentation.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns a page, by its path from the root.
pub fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Returns the names of all pages: those in the root and those in `docs/`.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = ["", "docs/"].into_iter().flat_map(names_in).collect();
    names.sort();
    names
}

fn names_in(folder: &str) -> Vec<String> {
    let files = fs::read_dir(root().join(folder)).expect("a folder of pages");
    let names = files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".md")).map(|name| format!("{folder}{name}")).collect()
}

/// Returns a page's lines outside of fenced blocks.
pub fn prose(page: &str) -> Vec<&str> {
    let mut is_fenced = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        let is_fence = line.trim_start().starts_with("```");
        if !is_fenced && !is_fence {
            lines.push(line);
        }
        is_fenced ^= is_fence;
    }
    lines
}

/// Returns the fenced blocks of a page, each with its language as the first line.
pub fn blocks(page: &str) -> Vec<&str> {
    page.split("```").skip(1).step_by(2).collect()
}

/// Returns the lines under a heading, up to the next heading of the same or a higher level.
pub fn section<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let level = heading.split(' ').next().unwrap_or_default().len();
    let mut lines = page.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "no heading {heading:?}");
    let is_next = |line: &&str| heading_level(line).is_some_and(|other| other <= level);
    lines.take_while(|line| !is_next(line)).collect()
}

fn heading_level(line: &str) -> Option<usize> {
    let marks = line.split(' ').next()?;
    (!marks.is_empty() && marks.chars().all(|mark| mark == '#')).then_some(marks.len())
}

/// Returns the words in backticks in a table's first column.
pub fn first_column<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let rows = lines.iter().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| row.split(" |").next());
    cells.flat_map(|cell| cell.split('`').step_by(2)).filter(|word| !word.is_empty()).collect()
}

/// Returns the text of all Rust files of the repository.
pub fn sources() -> String {
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
