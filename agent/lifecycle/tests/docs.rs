//! The documentation is right about the code: its closed lists, its links, its commands.

#[path = "docs/links.rs"]
mod links;
#[path = "docs/lists.rs"]
mod lists;
#[path = "docs/names.rs"]
mod names;
#[path = "docs/pages.rs"]
mod pages;
#[path = "docs/paths.rs"]
mod paths;
#[path = "docs/promises.rs"]
mod promises;
mod scene;

use pages::{blocks, page};

/// The commands of `docs/install.md` are tested; so those of the README have to be the same.
#[test]
fn every_command_of_the_readmes_installation_is_in_the_page_on_installing() {
    let (readme, install) = (page("README.md"), page("docs/install.md"));
    let start = readme.find("\n## Install\n").expect("the installation");
    let copied = blocks(&readme[start..]);
    assert!(copied.len() >= 4, "the README's installation has lost its blocks");
    let tested = blocks(&install);
    for block in copied {
        assert!(tested.contains(&block), "docs/install.md lacks{block}");
    }
}

#[test]
fn the_readme_can_be_read_in_one_go() {
    let lines = page("README.md").lines().count();
    assert!(lines <= 220, "README.md has {lines} lines: move details to docs/");
}
