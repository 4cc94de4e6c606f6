//! The closed lists of the documentation are those of the code.

use std::collections::BTreeSet;

use lifecycle::health::HealthStatus;
use lifecycle::{ActionableBy, Phase, Reason};

use crate::pages::{first_column, page, section};

#[test]
fn every_reason_is_documented_under_the_heading_of_who_can_act_on_it() {
    let expected: BTreeSet<(&str, &str)> =
        Reason::ALL.iter().map(|reason| (owner(reason.actionable_by()), reason.name())).collect();
    let text = page("docs/reasons.md");
    let mut documented = BTreeSet::new();
    for owner in ["Nobody", "Assignment", "Environment"] {
        for line in section(&text, &format!("## {owner}")) {
            let Some(reason) = line.strip_prefix("### ") else { continue };
            assert!(documented.insert((owner, reason)), "docs/reasons.md has {reason} twice");
        }
    }
    assert_eq!(documented, expected);
}

fn owner(owner: ActionableBy) -> &'static str {
    match owner {
        ActionableBy::Nobody => "Nobody",
        ActionableBy::Assignment => "Assignment",
        ActionableBy::Environment => "Environment",
    }
}

#[test]
fn the_table_of_phases_has_every_phase_in_order() {
    let text = page("docs/phases.md");
    let documented: Vec<&str> = first_column(&text.lines().collect::<Vec<_>>());
    let phases: Vec<&str> = Phase::ALL.iter().map(|phase| phase.name()).collect();
    assert_eq!(documented[..phases.len()], phases);
}

#[test]
fn the_table_of_health_has_every_status() {
    let text = page("docs/health.md");
    let lines: Vec<&str> = text.lines().take_while(|line| !line.starts_with("## ")).collect();
    let documented: BTreeSet<&str> = first_column(&lines).into_iter().collect();
    assert_eq!(documented, HealthStatus::ALL.iter().map(|status| status.name()).collect());
}

#[test]
fn the_table_of_crates_has_every_direct_dependency() {
    let manifest = page("Cargo.toml");
    let start = manifest.find("[workspace.dependencies]").expect("the dependencies");
    let lines = manifest[start..].lines().skip(1).take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once(" = "));
    let foreign = names.filter(|(_, value)| !value.contains("path = ")).map(|(name, _)| name);
    let text = page("docs/crates.md");
    let documented: BTreeSet<&str> = first_column(&text.lines().collect::<Vec<_>>())
        .into_iter()
        .filter(|it| *it != ", ")
        .collect();
    assert_eq!(documented, foreign.filter(|name| !name.starts_with('#')).collect());
}
