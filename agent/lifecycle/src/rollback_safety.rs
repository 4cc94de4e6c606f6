//! Judges, before the first write, whether a rollback would work: the condition `RollbackSafe`.
//!
//! Only a known blocker makes it False. What depends on later events, or cannot be observed, makes it Unknown, which
//! stops nothing.

mod images;
mod risks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bundle::hook::Hook;
use crate::crd_compat::{Change, Definition, changes};
use crate::kind::KnownKind;
use crate::names::annotation;
use crate::object::{Object, ObjectKey};
use crate::reason::{Fault, Reason};

pub use images::Nodes;
pub use risks::{Blocker, Unknown};

/// Blockers, and unknowns, that are kept at most: the ledger is small.
const MAX_KEPT: usize = 8;

/// What was found about a rollback.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RollbackSafety {
    /// Known reasons why it would not work; at most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blockers: Vec<Blocker>,
    /// What cannot be determined; at most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknowns: Vec<Unknown>,
}

impl RollbackSafety {
    /// The status of the condition `RollbackSafe`.
    pub fn status(&self) -> &'static str {
        match (self.blockers.is_empty(), self.unknowns.is_empty()) {
            (false, _) => "False",
            (true, false) => "Unknown",
            (true, true) => "True",
        }
    }

    /// The reason of the condition `RollbackSafe`.
    pub fn reason(&self) -> &'static str {
        match self.status() {
            "True" => "NoKnownRisk",
            "Unknown" => "Undetermined",
            _ => Reason::RollbackUnsafe.name(),
        }
    }

    /// The message of the condition `RollbackSafe`.
    pub fn message(&self) -> String {
        match self.status() {
            "True" => "no known reason why a rollback would not work".to_owned(),
            _ => {
                let blockers = self.blockers.iter().map(ToString::to_string);
                let unknowns = self.unknowns.iter().map(ToString::to_string);
                blockers.chain(unknowns).collect::<Vec<_>>().join("; ")
            }
        }
    }

    /// Returns why a version whose rollback would not work is held.
    pub(crate) fn objection(&self) -> Fault {
        let blockers = self.blockers.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let message = format!(
            "a rollback would not be safe: {blockers}. To proceed anyway, set the annotation {} to a new value or set \
             policy.onUnsafe: Proceed",
            annotation::RETRY
        );
        Fault::new(Reason::RollbackUnsafe, message)
    }

    fn truncated(mut self) -> Self {
        self.blockers.truncate(MAX_KEPT);
        self.unknowns.truncate(MAX_KEPT);
        self
    }
}

/// Whether there are objects of a definition that are not this add-on's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inhabited {
    Yes,
    No,
    /// They may not be listed.
    Untold,
}

/// What is known before the first write.
pub struct RollbackContext<'a> {
    /// What runs, and would be put back; absent where it is not retained any more.
    pub from: Option<&'a [Object]>,
    pub target: &'a [Object],
    /// By the name of the definition; those that are not in it have no objects.
    pub inhabited: &'a BTreeMap<String, Inhabited>,
    /// What was somebody's and would be taken over.
    pub taken_over: &'a [ObjectKey],
    /// What of the running version the API server does not serve in its version any more.
    pub unserved: &'a [Object],
    pub nodes: &'a Nodes,
}

/// Judges whether a rollback from the target to the running release would work.
pub fn judge(prospect: &RollbackContext<'_>) -> RollbackSafety {
    let mut safety = RollbackSafety::default();
    let Some(from) = prospect.from else {
        return RollbackSafety { blockers: vec![Blocker::ReleaseNotRetained], ..safety };
    };
    for (old, new) in pairs(from, prospect.target) {
        if old.is(KnownKind::CustomResourceDefinition) {
            definition(prospect, old, new, &mut safety);
        } else if old.is(KnownKind::PersistentVolumeClaim) {
            claim(old, new, &mut safety);
        }
    }
    safety.blockers.extend(prospect.unserved.iter().map(unserved));
    safety.unknowns.extend(prospect.target.iter().filter_map(hook));
    let adopted = prospect.taken_over.iter().cloned();
    safety.unknowns.extend(adopted.map(|object| Unknown::Adoption { object }));
    safety.unknowns.extend(images::unknown(from, prospect.target, prospect.nodes));
    safety.truncated()
}

fn unserved(object: &Object) -> Blocker {
    Blocker::ApiVersionNotServed {
        object: object.key(),
        api_version: object.api_version().to_owned(),
    }
}

/// Definitions that going back would narrow or could not put back: whether they have objects has to be looked at.
pub fn definitions_in_doubt(from: &[Object], target: &[Object]) -> Vec<Definition> {
    let read = |(old, new)| Some((Definition::read(old)?, Definition::read(new)?));
    let both = pairs(from, target).filter_map(read);
    both.filter(|(old, new)| !back(old, new).is_empty()).map(|(_, new)| new).collect()
}

/// What is in both, as it was and as it will be.
fn pairs<'a>(
    from: &'a [Object],
    target: &'a [Object],
) -> impl Iterator<Item = (&'a Object, &'a Object)> {
    let new: BTreeMap<_, _> = target.iter().map(|object| (object.key(), object)).collect();
    from.iter().filter_map(move |old| Some((old, *new.get(&old.key())?)))
}

/// What is narrower in the old definition than in the new one, which will have stored objects by then.
fn back(old: &Definition, new: &Definition) -> Vec<Change> {
    let stored = new.storage().map(|version| version.name.clone());
    let mut new = new.clone();
    new.stored = stored.into_iter().collect();
    changes(&new, old)
}

fn definition(
    prospect: &RollbackContext<'_>,
    old: &Object,
    new: &Object,
    safety: &mut RollbackSafety,
) {
    let (Some(old), Some(new)) = (Definition::read(old), Definition::read(new)) else { return };
    let changes = back(&old, &new);
    let is = |wanted: fn(&Change) -> bool| changes.iter().any(wanted);
    // The API server records a version as stored at once, before there is an object.
    let gone = is(|change| matches!(change, Change::StoredVersionGone(_)));
    let inhabited = if gone { Inhabited::Yes } else { inhabited(prospect, &new) };
    if changes.is_empty() || inhabited == Inhabited::No {
        return;
    }
    let stored_as = new.storage().map(|version| version.name.clone()).unwrap_or_default();
    let definition = new.name;
    let moved = is(|change| matches!(change, Change::StorageMoved { .. }));
    let is_unreadable = gone || moved && is(|change| matches!(change, Change::Conversion));
    if !is_unreadable {
        let change = changes.first().map(Change::words).unwrap_or_default();
        return safety.unknowns.push(Unknown::Definition { definition, change });
    }
    match inhabited {
        Inhabited::Yes => safety.blockers.push(Blocker::StorageVersion { definition, stored_as }),
        Inhabited::No | Inhabited::Untold => {
            safety.unknowns.push(Unknown::StorageVersion { definition, stored_as });
        }
    }
}

/// Objects that the bundle brings are as good as there.
fn inhabited(prospect: &RollbackContext<'_>, definition: &Definition) -> Inhabited {
    let of =
        |object: &Object| object.group() == definition.group && object.kind() == definition.kind;
    if prospect.target.iter().any(of) {
        return Inhabited::Yes;
    }
    prospect.inhabited.get(&definition.name).copied().unwrap_or(Inhabited::No)
}

/// A claim can grow and never shrink.
fn claim(old: &Object, new: &Object, safety: &mut RollbackSafety) {
    let request = |claim: &Object| claim.0.pointer("/spec/resources/requests/storage").cloned();
    if request(old) != request(new) {
        safety.blockers.push(Blocker::ClaimResized { object: new.key() });
    }
}

fn hook(object: &Object) -> Option<Unknown> {
    let is_pre_upgrade = Hook::of(object)? == Hook::PreUpgrade;
    is_pre_upgrade.then(|| Unknown::Hook { object: object.key() })
}
