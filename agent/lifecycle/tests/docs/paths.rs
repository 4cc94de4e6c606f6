//! The files, folders and types that the pages name exist.

use crate::pages::{page, prose, root, sources};

#[test]
fn every_path_of_the_architecture_page_exists() {
    let text = page("docs/architecture.md");
    let mut of_crate = "";
    let mut missing = Vec::new();
    for line in prose(&text) {
        if line.starts_with('#') {
            of_crate = words(line).next().unwrap_or_default();
        }
        let folders = ["", of_crate, &format!("{of_crate}/src"), &format!("{of_crate}/tests")];
        missing.extend(paths(line).filter(|path| !exists(path, &folders)).map(str::to_owned));
    }
    assert!(missing.is_empty(), "docs/architecture.md: {missing:?}");
}

#[test]
fn every_path_of_the_page_on_contributing_exists() {
    let text = page("CONTRIBUTING.md");
    let crate_folders =
        ["", "agent/lifecycle", "agent/lifecycle/src", "agent/lifecycle/src/health"];
    let lines = prose(&text);
    let paths = lines.iter().flat_map(|line| paths(line));
    let missing: Vec<&str> = paths.filter(|path| !exists(path, &crate_folders)).collect();
    assert!(missing.is_empty(), "CONTRIBUTING.md: {missing:?}");
}

#[test]
fn every_path_and_every_type_of_the_glossary_exists() {
    let text = page("docs/glossary.md");
    let sources = sources();
    let mut missing = Vec::new();
    for line in prose(&text) {
        let folders = ["", "agent/lifecycle/src", "agent/lifecycle"];
        missing.extend(paths(line).filter(|path| !exists(path, &folders)));
        let code = line.split('|').nth(3).unwrap_or_default();
        missing.extend(types(code).filter(|name| !is_declared(name, &sources)));
    }
    assert!(missing.is_empty(), "docs/glossary.md: {missing:?}");
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn paths(line: &str) -> impl Iterator<Item = &str> {
    let endings = ["/", ".rs", ".toml", ".yaml"];
    let is_path = move |word: &&str| endings.iter().any(|ending| word.ends_with(ending));
    words(line).filter(|word| !word.contains(' ')).filter(is_path)
}

fn exists(path: &str, folders: &[&str]) -> bool {
    folders.iter().any(|folder| root().join(folder).join(path).exists())
}

fn types(cell: &str) -> impl Iterator<Item = &str> {
    let names = words(cell).filter_map(|word| word.split("::").next());
    names.filter(|name| name.starts_with(char::is_uppercase))
}

fn is_declared(name: &str, sources: &str) -> bool {
    let declarations = ["struct", "enum", "type"].map(|keyword| format!("{keyword} {name}"));
    declarations.iter().any(|declaration| sources.contains(declaration))
}
