//! Definitions that a rollback would narrow, under objects that are written by then.

use std::collections::BTreeMap;

use super::common::common_objects;
use super::risks::{Blocker, Unknown};
use super::safety::RollbackSafety;
use crate::crd_compat::{Change, Definition, changes};
use crate::object::Object;

/// Whether a definition has foreign instances: objects of its kind that are not this add-on's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// There is at least one.
    Exist,
    /// There is none.
    None,
    /// The account may not list them.
    Unknown,
}

/// Returns the definitions of the target that a rollback would narrow or could not restore. Their instances have to be
/// known for the judgement.
pub fn narrowed_definitions(running: &[Object], target: &[Object]) -> Vec<Definition> {
    let definitions = common_objects(running, target)
        .filter_map(|(old, new)| Some((Definition::read(old)?, Definition::read(new)?)));
    let narrowed = definitions.filter(|(old, new)| !rollback_changes(old, new).is_empty());
    narrowed.map(|(_, new)| new).collect()
}

/// Returns in which ways a rollback would narrow the definition. By then objects are stored as the new definition says.
fn rollback_changes(old: &Definition, new: &Definition) -> Vec<Change> {
    let mut new = new.clone();
    new.stored = new.storage().map(|version| version.name.clone()).into_iter().collect();
    changes(&new, old)
}

/// Judges one definition that both releases have. `known` is by name of the definition; one that is missing there has no
/// foreign instances.
pub(super) fn judge_definition(
    old: &Object,
    new: &Object,
    target: &[Object],
    known: &BTreeMap<String, Instances>,
    safety: &mut RollbackSafety,
) {
    let (Some(old), Some(new)) = (Definition::read(old), Definition::read(new)) else { return };
    let changes = rollback_changes(&old, &new);
    let has = |is_such: fn(&Change) -> bool| changes.iter().any(is_such);
    // The API server records a version as stored at once, before there is an object.
    let is_gone = has(|change| matches!(change, Change::StoredVersionGone(_)));
    let instances = if is_gone { Instances::Exist } else { instances(&new, target, known) };
    if changes.is_empty() || instances == Instances::None {
        return;
    }
    let stored_as = new.storage().map(|version| version.name.clone()).unwrap_or_default();
    let definition = new.name;
    let is_moved = has(|change| matches!(change, Change::StorageMoved { .. }));
    let is_unreadable = is_gone || is_moved && has(|change| matches!(change, Change::Conversion));
    if !is_unreadable {
        let change = changes.first().map(Change::to_string).unwrap_or_default();
        return safety.unknowns.push(Unknown::Definition { definition, change });
    }
    match instances {
        Instances::Exist => safety.blockers.push(Blocker::StorageVersion { definition, stored_as }),
        Instances::None | Instances::Unknown => {
            safety.unknowns.push(Unknown::StorageVersion { definition, stored_as });
        }
    }
}

/// Returns whether there will be instances by the time of a rollback. Those of the target exist by then.
fn instances(
    definition: &Definition,
    target: &[Object],
    known: &BTreeMap<String, Instances>,
) -> Instances {
    let is_instance =
        |object: &Object| object.group() == definition.group && object.kind() == definition.kind;
    if target.iter().any(is_instance) {
        return Instances::Exist;
    }
    known.get(&definition.name).copied().unwrap_or(Instances::None)
}
