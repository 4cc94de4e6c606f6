//! Whether going back would work, judged before the first write: `RollbackSafe`.
//!
//! Only what is known to stand in the way makes it False. What depends on what happens meanwhile, or cannot be seen, makes
//! it Unknown, which holds nothing.

mod images;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bundle::hook::Hook;
use crate::crd_compat::{Change, Definition, changes};
use crate::names::annotation;
use crate::object::{Object, ObjectKey};
use crate::reason::{Fault, Reason};
use crate::status::printable;

pub use images::Nodes;

/// Sentences kept of each kind; the condition's message is bounded as well.
const MOST: usize = 8;

/// What was judged of going back.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Safety {
    /// What is known to stand in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hindrances: Vec<String>,
    /// What cannot be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

impl Safety {
    /// As a condition says it.
    pub fn status(&self) -> &'static str {
        match (self.hindrances.is_empty(), self.doubts.is_empty()) {
            (false, _) => "False",
            (true, false) => "Unknown",
            (true, true) => "True",
        }
    }

    /// As a condition says why.
    pub fn reason(&self) -> &'static str {
        match self.status() {
            "True" => "NoKnownRisk",
            "Unknown" => "Undetermined",
            _ => Reason::RollbackUnsafe.name(),
        }
    }

    pub fn message(&self) -> String {
        match self.status() {
            "True" => "nothing is known that would stand in the way of going back".to_owned(),
            _ => self.hindrances.iter().chain(&self.doubts).cloned().collect::<Vec<_>>().join("; "),
        }
    }

    /// Why a version that cannot be gone back from does not start.
    pub(crate) fn objection(&self) -> Fault {
        let why = self.hindrances.join("; ");
        let message = format!(
            "going back would not be safe: {why}. A new value of the annotation \
             {} goes on all the same, as does policy.onUnsafe: Proceed",
            annotation::RETRY
        );
        Fault::new(Reason::RollbackUnsafe, message)
    }

    fn bounded(mut self) -> Self {
        for sentences in [&mut self.hindrances, &mut self.doubts] {
            sentences.truncate(MOST);
            sentences.iter_mut().for_each(|sentence| *sentence = printable(sentence));
        }
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

pub fn judge(prospect: &RollbackContext<'_>) -> Safety {
    let mut safety = Safety::default();
    let Some(from) = prospect.from else {
        let gone =
            "the release that runs is not retained any more, so there is nothing to go back to";
        return Safety { hindrances: vec![gone.to_owned()], ..safety };
    };
    for (old, new) in pairs(from, prospect.target) {
        match old.kind() {
            "CustomResourceDefinition" => definition(prospect, old, new, &mut safety),
            "PersistentVolumeClaim" => claim(old, new, &mut safety),
            _ => {}
        }
    }
    safety.hindrances.extend(prospect.unserved.iter().map(unserved));
    safety.doubts.extend(prospect.target.iter().filter_map(hook));
    safety.doubts.extend(prospect.taken_over.iter().map(taken_over));
    safety.doubts.extend(images::doubt(from, prospect.target, prospect.nodes));
    safety.bounded()
}

fn unserved(object: &Object) -> String {
    let (key, version) = (object.key(), object.api_version());
    format!(
        "{key} is written as {version}, which is not served here any more, so it could not be put back"
    )
}

/// It stays, and nobody knows what its fields were.
fn taken_over(key: &ObjectKey) -> String {
    format!("{key} was here before and is taken over: going back leaves it as this version has it")
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

fn definition(prospect: &RollbackContext<'_>, old: &Object, new: &Object, safety: &mut Safety) {
    let (Some(old), Some(new)) = (Definition::read(old), Definition::read(new)) else { return };
    let changes = back(&old, &new);
    let is = |wanted: fn(&Change) -> bool| changes.iter().any(wanted);
    // The API server notes a version as stored at once, before there is an object.
    let gone = is(|change| matches!(change, Change::StoredVersionGone(_)));
    let inhabited = if gone { Inhabited::Yes } else { inhabited(prospect, &new) };
    if changes.is_empty() || inhabited == Inhabited::No {
        return;
    }
    let moved = is(|change| matches!(change, Change::StorageMoved { .. }));
    let stuck = gone || moved && is(|change| matches!(change, Change::Conversion));
    if !stuck {
        let first = changes.first().map(Change::words).unwrap_or_default();
        let message = format!(
            "CustomResourceDefinition {} would stay as it is if objects of it need what only the new version has ({first})",
            new.name
        );
        return safety.doubts.push(message);
    }
    let stored = new.storage().map(|version| version.name.clone()).unwrap_or_default();
    let message = format!(
        "CustomResourceDefinition {} stores its objects as {stored} from then on, which the version that runs cannot read; it \
         would stay as it is",
        new.name
    );
    match inhabited {
        Inhabited::Yes => safety.hindrances.push(message),
        Inhabited::No | Inhabited::Untold => safety.doubts.push(message),
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
fn claim(old: &Object, new: &Object, safety: &mut Safety) {
    let request = |claim: &Object| claim.0.pointer("/spec/resources/requests/storage").cloned();
    if request(old) != request(new) {
        let message = format!(
            "{} asks for another size, and a claim that has grown cannot shrink",
            new.key()
        );
        safety.hindrances.push(message);
    }
}

fn hook(object: &Object) -> Option<String> {
    (Hook::of(object)? == Hook::PreUpgrade).then(|| {
        format!(
            "{} runs before the upgrade and may write what going back cannot undo",
            object.key()
        )
    })
}
