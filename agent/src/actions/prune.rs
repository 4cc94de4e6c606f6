//! Removes objects of the add-on that no release needs. Guarded objects stay.

mod claims;
mod contents;

use std::collections::BTreeSet;

use kube::api::PropagationPolicy;
use lifecycle::names::label;
use lifecycle::ownership::adoption;
use lifecycle::plan::removal::{depends_on, guard, removals, withdrawals};
use lifecycle::{Fault, Leftover, Object, ObjectKey, Reason};

use crate::cluster::access::{Access, delete_by_uid};
use crate::cluster::error;
use crate::cluster::living::LivingObject;
use crate::cluster::resolved::ResolvedObject;

use claims::Claims;

/// How far a removal goes.
pub struct PruneOptions {
    /// Only webhooks, policies and APIServices that no kept release has.
    pub only_extensions: bool,
    /// Also objects that hold data.
    pub delete_data: bool,
}

impl PruneOptions {
    /// An extension of a failed version could refuse the rollback's writes, so no mark keeps it then.
    fn honours_marks(&self) -> bool {
        !self.only_extensions && !self.delete_data
    }
}

/// What a removal did not remove.
#[derive(Debug, Default)]
pub struct Remains {
    /// Deleted and not gone yet, or refused.
    pub leftovers: Vec<Leftover>,
    /// Guarded objects and why they stay, as text for an event.
    pub kept: Vec<String>,
}

impl Remains {
    fn refuse(&mut self, object: ObjectKey, cause: Fault) {
        tracing::warn!(%object, cause = cause.message, "could not remove an object");
        self.leftovers.push(Leftover::Refused { object, cause });
    }

    /// Returns an object that could not be removed and would be lost with this one.
    fn refused_in(&self, base: &ResolvedObject) -> Option<&ObjectKey> {
        self.leftovers.iter().find_map(|leftover| match leftover {
            Leftover::Refused { object, .. } if depends_on(object, &base.manifest) => Some(object),
            Leftover::Object { .. }
            | Leftover::Refused { .. }
            | Leftover::LostRelease { .. }
            | Leftover::LostBaseline
            | Leftover::GivenUp { .. } => None,
        })
    }
}

/// Removes the objects in `known` that are not in `kept`, the last applied first. One that cannot be read or deleted keeps
/// no other, except for its namespace and the definition of its kind. `remains` has what removals before this one left.
///
/// # Errors
/// The API server does not answer.
pub async fn prune(
    access: &Access,
    kept: &[ResolvedObject],
    known: Vec<ResolvedObject>,
    options: &PruneOptions,
    remains: &mut Remains,
) -> Result<(), Fault> {
    let kept_keys: BTreeSet<ObjectKey> = kept.iter().map(ResolvedObject::key).collect();
    for object in removed_objects(kept, known, options.only_extensions) {
        let Some(object) = with_any_version(object) else { continue };
        let is_kept = kept_keys.contains(&object.key());
        let Err(cause) = remove_if_written(access, &object, is_kept, options, remains).await else {
            continue;
        };
        if cause.transient && !access.is_answered().await {
            return Err(cause);
        }
        remains.refuse(object.key(), cause);
    }
    Ok(())
}

/// Removes an object; one that another release keeps only if its own release wrote it last.
async fn remove_if_written(
    access: &Access,
    object: &ResolvedObject,
    is_kept: bool,
    options: &PruneOptions,
    remains: &mut Remains,
) -> Result<(), Fault> {
    let Some(living) = access.read(object).await? else { return Ok(()) };
    if is_kept && !is_written_by_its_release(&living, object) {
        return Ok(());
    }
    if let Some(refused) = remains.refused_in(object) {
        let message =
            format!("{} is needed by {refused}, which could not be removed", object.key());
        return Err(Fault::new(Reason::ObjectRefused, message));
    }
    remove(access, object, living, options, remains).await
}

/// Returns the objects to remove, the last applied first.
fn removed_objects(
    kept: &[ResolvedObject],
    known: Vec<ResolvedObject>,
    only_extensions: bool,
) -> Vec<ResolvedObject> {
    let kept: Vec<Object> = kept.iter().map(|object| object.manifest.clone()).collect();
    let manifests = known.iter().map(|object| object.manifest.clone()).collect();
    let plan: fn(&[Object], Vec<Object>) -> Vec<Object> =
        if only_extensions { withdrawals } else { removals };
    let order: Vec<ObjectKey> = plan(&kept, manifests).iter().map(Object::key).collect();
    let position = |object: &ResolvedObject| order.iter().position(|key| key == &object.key());
    let mut seen = BTreeSet::new();
    let mut removed: Vec<ResolvedObject> = known
        .into_iter()
        .filter(|object| position(object).is_some() && seen.insert(object.key()))
        .collect();
    removed.sort_by_key(position);
    removed
}

/// Returns the object with its kind in a version that is served. Without a definition there is no object.
fn with_any_version(object: ResolvedObject) -> Option<ResolvedObject> {
    let kind = object.kind.clone().or(object.other_version.clone())?;
    Some(ResolvedObject { kind: Some(kind), ..object })
}

/// Of an object that both releases have, the living one may be of either.
fn is_written_by_its_release(living: &LivingObject, object: &ResolvedObject) -> bool {
    living.release() == object.manifest.label(label::RELEASE)
}

/// Deletes one object, if it is ours and not guarded.
async fn remove(
    access: &Access,
    object: &ResolvedObject,
    living: LivingObject,
    options: &PruneOptions,
    remains: &mut Remains,
) -> Result<(), Fault> {
    let key = object.key();
    if living.owner() != Some(&access.add_on) {
        tracing::info!(object = %key, "keeping an object that is not the add-on's any more");
        return Ok(());
    }
    if let Some(reason) = reason_to_keep(access, object, &living, options).await? {
        tracing::warn!(object = %key, reason, "keeping an object");
        remains.kept.push(format!("{key} ({reason})"));
        return Ok(());
    }
    if stays_for_claims(access, object, &living, options, remains).await? {
        return Ok(());
    }
    let left = match living.is_terminating() {
        true => Some(living),
        false => delete(access, object, &living).await?,
    };
    remains.leftovers.extend(left.map(|left| leftover(key, left)));
    Ok(())
}

/// Returns whether an object stays, for now or for good, because a claim would be deleted with it.
async fn stays_for_claims(
    access: &Access,
    object: &ResolvedObject,
    living: &LivingObject,
    options: &PruneOptions,
    remains: &mut Remains,
) -> Result<bool, Fault> {
    if living.is_terminating() || options.delete_data {
        return Ok(false);
    }
    let key = object.key();
    match claims::protect(access, object, living).await? {
        Claims::Safe => return Ok(false),
        Claims::BeingReleased => {
            remains.leftovers.push(Leftover::Object { object: key, finalizers: Vec::new() });
        }
        Claims::WouldGo(reason) => {
            tracing::warn!(object = %key, reason, "keeping an object");
            remains.kept.push(format!("{key} ({reason})"));
        }
    }
    Ok(true)
}

/// An adopted object stays even while it is being deleted; for the other guards it is then too late.
async fn reason_to_keep(
    access: &Access,
    object: &ResolvedObject,
    living: &LivingObject,
    options: &PruneOptions,
) -> Result<Option<String>, Fault> {
    let adopted = adoption::keep_reason(living.adopted_by(), access.available.as_ref());
    if adopted.is_some() || living.is_terminating() {
        return Ok(adopted);
    }
    if options.honours_marks()
        && let Some(reason) = living.keep_mark()
    {
        return Ok(Some(reason));
    }
    let contents = contents::read(access, object, living).await?;
    Ok(guard(&object.manifest, &contents, options.delete_data))
}

/// Returns what lives of the object after its deletion.
async fn delete(
    access: &Access,
    object: &ResolvedObject,
    living: &LivingObject,
) -> Result<Option<LivingObject>, Fault> {
    let api = access.api(object).await?;
    let policy = Some(PropagationPolicy::Background);
    let deleted = delete_by_uid(&api, object.name(), living.uid(), policy).await;
    deleted.map_err(|error| error::to_object_fault(&object.key(), &error))?;
    let left = access.read_metadata(object).await?;
    Ok(left.filter(|left| left.uid() == living.uid()))
}

fn leftover(object: ObjectKey, left: LivingObject) -> Leftover {
    Leftover::Object { object, finalizers: left.metadata.finalizers.unwrap_or_default() }
}
