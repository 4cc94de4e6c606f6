//! Every relative link and every anchor in the pages leads somewhere.

use std::collections::BTreeSet;
use std::path::Path;

use crate::pages::{names, page, prose, root};

#[test]
fn every_relative_link_leads_to_a_file_and_every_anchor_to_a_heading() {
    let mut broken = Vec::new();
    for name in names() {
        let text = page(&name);
        broken.extend(targets(&text).iter().filter_map(|target| {
            let why = broken_because(&name, target)?;
            Some(format!("{name}: {target}: {why}"))
        }));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_index_names_every_page_of_the_folder() {
    let index = page("docs/README.md");
    for name in names() {
        let Some(name) = name.strip_prefix("docs/").filter(|name| *name != "README.md") else {
            continue;
        };
        assert!(index.contains(&format!("({name}")), "docs/README.md lacks {name}");
    }
}

/// Returns the targets of a page's links, without those to other sites.
fn targets(text: &str) -> Vec<String> {
    let prose = prose(text).join("\n");
    let after = prose.split("](").skip(1);
    let targets = after.filter_map(|rest| rest.split(')').next()).map(str::to_owned);
    targets.filter(|target| !target.contains("://")).collect()
}

fn broken_because(name: &str, target: &str) -> Option<String> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(name).parent().expect("the folder of a page");
    let file = if path.is_empty() { name.into() } else { folder.join(path) };
    if !root().join(&file).exists() {
        return Some("no such file".to_owned());
    }
    if anchor.is_empty() {
        return None;
    }
    let text = page(&file.to_string_lossy());
    (!anchors(&text).contains(anchor)).then(|| "no such heading".to_owned())
}

/// Returns the anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for line in prose(text).into_iter().filter(|line| line.starts_with('#')) {
        let base = slug(line.trim_start_matches('#').trim());
        let numbered = (1..).map(|number| format!("{base}-{number}"));
        let mut free = std::iter::once(base.clone()).chain(numbered);
        anchors.extend(free.find(|anchor| !anchors.contains(anchor)));
    }
    anchors
}

/// Lower case, hyphens for blanks, and no punctuation.
fn slug(heading: &str) -> String {
    let heading = heading.to_lowercase().replace(' ', "-");
    heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

#[test]
fn anchors_are_those_of_github() {
    let text = "# A b\n## A b\n```sh\n# no heading\n```\n### `policy.onUnsafe`: a hub's, or not";
    let expected = ["a-b", "a-b-1", "policyonunsafe-a-hubs-or-not"];
    assert_eq!(anchors(text), expected.map(str::to_owned).into());
}
