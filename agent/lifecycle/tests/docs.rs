//! docs/reasons.md tells every reason, under the heading of whoever has to mend it, and tells no others.

use lifecycle::{Owner, Reason};

const REASONS: &str = include_str!("../../../docs/reasons.md");

#[test]
fn every_reason_is_told_where_it_belongs() {
    let told = told();
    for reason in Reason::ALL {
        let (section, name) = (section(reason.owner()), reason.name());
        assert!(told.contains(&(section, name)), "docs/reasons.md lacks {name} under {section}");
    }
}

#[test]
fn nothing_else_is_told() {
    let told = told();
    assert_eq!(told.len(), Reason::ALL.len(), "docs/reasons.md tells a reason twice");
    for (_, name) in told {
        assert!(Reason::ALL.iter().any(|reason| reason.name() == name), "{name} is no reason");
    }
}

/// Sections and the reasons under them.
fn told() -> Vec<(&'static str, &'static str)> {
    let mut section = "";
    let mut told = Vec::new();
    for line in REASONS.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        told.extend(line.strip_prefix("### ").map(|reason| (section, reason)));
    }
    told
}

fn section(owner: Owner) -> &'static str {
    match owner {
        Owner::Nobody => "Nobody",
        Owner::Assignment => "Assignment",
        Owner::Environment => "Environment",
    }
}
