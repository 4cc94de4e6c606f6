//! The condition `Drifted`: its reasons and messages.

use std::collections::BTreeMap;

use jiff::Timestamp;
use strum::{IntoStaticStr, VariantArray};

use super::foreign_fields::ForeignFields;
use crate::object::ObjectKey;

/// Objects in a message, and paths of an object. The others are counted.
const MAX_NAMED: usize = 3;

/// The content of the condition `Drifted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftCondition {
    /// Whether the condition is `True`.
    pub is_drifted: bool,
    /// The reason of the condition.
    pub reason: DriftReason,
    /// The message of the condition. Without a time unless something was repaired, so that it stays the same.
    pub message: String,
}

/// The reasons of the condition `Drifted`, the worst first.
#[derive(IntoStaticStr, VariantArray, Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftReason {
    /// True: an object differs and could not be restored.
    RepairFailed,
    /// True: the same object had to be restored at three comparisons in a row.
    Contested,
    /// False: something differed and was restored.
    Repaired,
    /// False: nothing differs, and others set fields that the release does not name.
    ForeignFields,
    /// False: nothing differs.
    InSync,
}

impl DriftReason {
    /// Every reason, in the order of its documentation.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The name, as the condition has it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl DriftCondition {
    /// For objects that could not be restored. None if there are none, as for the next three.
    pub(super) fn repair_failed(failed: &[(ObjectKey, String)]) -> Option<Self> {
        let [(first, cause), others @ ..] = failed else { return None };
        let others = match others.len() {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        let message = format!("{first} differs and could not be restored: {cause}{others}");
        Some(Self { is_drifted: true, reason: DriftReason::RepairFailed, message })
    }

    /// For objects that had to be restored again and again.
    pub(super) fn contested(objects: &[&ObjectKey]) -> Option<Self> {
        if objects.is_empty() {
            return None;
        }
        let names = join_names(objects.iter().copied());
        let message =
            format!("changed again after each repair: {names}; see the managers in managedFields");
        Some(Self { is_drifted: true, reason: DriftReason::Contested, message })
    }

    /// For objects that were restored at this time.
    pub(super) fn repaired(restored: &[ObjectKey], now: Timestamp) -> Option<Self> {
        if restored.is_empty() {
            return None;
        }
        let message = format!("{} restored at {now}: {}", restored.len(), join_names(restored));
        Some(Self { is_drifted: false, reason: DriftReason::Repaired, message })
    }

    /// For fields of other managers, by object.
    pub(super) fn foreign_fields(
        by_object: &BTreeMap<ObjectKey, Vec<ForeignFields>>,
    ) -> Option<Self> {
        let each =
            by_object.iter().flat_map(|(key, fields)| fields.iter().map(move |it| (key, it)));
        let describe = |(key, ForeignFields { manager, paths }): (&ObjectKey, &ForeignFields)| {
            format!("{key}: {} by {manager}", join_first(paths, ", "))
        };
        let each: Vec<String> = each.map(describe).collect();
        if each.is_empty() {
            return None;
        }
        let message =
            format!("set by other managers and left unchanged: {}", join_first(&each, "; "));
        Some(Self { is_drifted: false, reason: DriftReason::ForeignFields, message })
    }

    /// For a release of which nothing differs.
    pub(super) fn in_sync() -> Self {
        Self { is_drifted: false, reason: DriftReason::InSync, message: String::new() }
    }
}

fn join_names<'a>(keys: impl IntoIterator<Item = &'a ObjectKey>) -> String {
    join_first(&keys.into_iter().map(ToString::to_string).collect::<Vec<_>>(), ", ")
}

/// Joins the first [`MAX_NAMED`] items and counts the others.
fn join_first(items: &[String], separator: &str) -> String {
    let first = items.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(separator);
    match items.len().saturating_sub(MAX_NAMED) {
        0 => first,
        others => format!("{first} (and {others} more)"),
    }
}
