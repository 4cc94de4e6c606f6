//! The judgement: compares the running release with the target, object by object.

use std::collections::BTreeMap;

use super::common::common_objects;
use super::definitions::{Instances, judge_definition};
use super::images::{self, NodeImages};
use super::risks::{Blocker, Unknown};
use super::safety::RollbackSafety;
use crate::bundle::hook::Hook;
use crate::kind::KnownKind;
use crate::object::{Object, ObjectKey};

/// Everything that is known before the first write.
pub struct RollbackContext<'a> {
    /// Objects of the running release, to which a rollback would return. None if it is not retained any more.
    pub running: Option<&'a [Object]>,
    /// Objects of the release that is about to be applied.
    pub target: &'a [Object],
    /// By name of a definition: whether it has foreign instances. A definition that is missing here has none.
    pub instances: &'a BTreeMap<String, Instances>,
    /// Existing foreign objects that the target would adopt.
    pub adopted: &'a [ObjectKey],
    /// Objects of the running release in a version that the API server does not serve any more.
    pub unserved: &'a [Object],
    /// Images on the nodes.
    pub nodes: &'a NodeImages,
}

/// Judges whether a rollback from the target to the running release would work.
pub fn judge_rollback(context: &RollbackContext<'_>) -> RollbackSafety {
    let mut safety = RollbackSafety::default();
    let Some(running) = context.running else {
        return RollbackSafety { blockers: vec![Blocker::ReleaseNotRetained], ..safety };
    };
    for (old, new) in common_objects(running, context.target) {
        if old.is(KnownKind::CustomResourceDefinition) {
            judge_definition(old, new, context.target, context.instances, &mut safety);
        } else if old.is(KnownKind::PersistentVolumeClaim) {
            safety.blockers.extend(judge_claim(old, new));
        }
    }
    safety.blockers.extend(context.unserved.iter().map(judge_unserved));
    safety.unknowns.extend(context.target.iter().filter_map(judge_hook));
    let adopted = context.adopted.iter().cloned();
    safety.unknowns.extend(adopted.map(|object| Unknown::Adoption { object }));
    safety.unknowns.extend(images::judge_images(running, context.target, context.nodes));
    safety.truncated()
}

/// A claim can grow and never shrink.
fn judge_claim(old: &Object, new: &Object) -> Option<Blocker> {
    let request = |claim: &Object| claim.0.pointer("/spec/resources/requests/storage").cloned();
    (request(old) != request(new)).then(|| Blocker::ClaimResized { object: new.key() })
}

fn judge_unserved(object: &Object) -> Blocker {
    Blocker::ApiVersionNotServed {
        object: object.key(),
        api_version: object.api_version().to_owned(),
    }
}

fn judge_hook(object: &Object) -> Option<Unknown> {
    let is_pre_upgrade = Hook::of(object)? == Hook::PreUpgrade;
    is_pre_upgrade.then(|| Unknown::Hook { object: object.key() })
}
