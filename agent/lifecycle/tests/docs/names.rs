//! The reference page has every name that other programs read, and no others.

use std::collections::BTreeSet;

use lifecycle::at_rest::{DriftCondition, DriftReason};
use lifecycle::{Phase, RollbackSafety};

use crate::pages::{first_column, page, section};
use crate::scene::Scene;

const PAGE: &str = "docs/managedaddon.md";

#[test]
fn the_tables_of_annotations_and_labels_have_every_name() {
    let source = page("agent/lifecycle/src/names.rs");
    let labels = source.find("pub mod label").expect("the labels");
    let annotations = source.find("pub mod annotation").expect("the annotations");
    assert!(labels < annotations, "the labels come first");
    let text = page(PAGE);
    let section = section(&text, "## Annotations");
    let of_labels = section.iter().position(|line| line.starts_with("| label |"));
    let (above, below) = section.split_at(of_labels.expect("the table of labels"));
    assert_eq!(documented(below), constants(&source[labels..annotations]), "labels");
    assert_eq!(documented(above), constants(&source[annotations..]), "annotations");
}

/// Returns the names in the first column of tables, without the group's prefix.
fn documented<'a>(lines: &[&'a str]) -> BTreeSet<&'a str> {
    first_column(lines).into_iter().filter_map(|name| name.strip_prefix("…/")).collect()
}

/// Returns the values of a module's constants, without the group's prefix.
fn constants(module: &str) -> BTreeSet<&str> {
    let values = module.lines().filter(|line| line.contains("pub const")).filter_map(|line| {
        let value = line.rsplit('"').nth(1)?;
        value.rsplit('/').next()
    });
    values.collect()
}

#[test]
fn the_table_of_conditions_has_every_condition() {
    let mut scene = Scene::available("1.4.0");
    scene.check_report.rollback_safety = Some(RollbackSafety::default());
    let mut scene = scene.assign("1.5.0").until(Phase::Available).settled();
    scene.context.orphaned = Some("no hub".to_owned());
    let message = "ConfigMap a/b".to_owned();
    scene.context.drift =
        Some(DriftCondition { is_drifted: true, reason: DriftReason::Contested, message });
    let saved = scene.observe().saved;
    let shown = saved.conditions.iter().map(|condition| condition.type_.as_str());
    let text = page(PAGE);
    let lines = section(&text, "## status");
    let start = lines.iter().position(|line| line.starts_with("| condition |"));
    let table = first_column(&lines[start.expect("the table of conditions")..]);
    let words: BTreeSet<&str> = table.into_iter().filter(|word| *word != ", ").collect();
    assert_eq!(words, shown.collect());
}
