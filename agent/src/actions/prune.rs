//! Removes what is ours and no longer wanted; guarded objects stay.

mod contents;

use std::collections::BTreeSet;

use kube::api::PropagationPolicy;
use lifecycle::names::label;
use lifecycle::ownership::adoption;
use lifecycle::plan::{guard, removals, withdrawals};
use lifecycle::{Fault, Leftover, Object, ObjectKey};

use crate::cluster::access::{Access, delete};
use crate::cluster::error;
use crate::cluster::resolved::ResolvedObject;

/// How far a removal goes.
pub struct Scope {
    pub only_extensions: bool,
    /// Also remove what holds data.
    pub delete_data: bool,
}

/// What a removal did not remove.
#[derive(Debug, Default)]
pub struct Remains {
    /// Deleted and not gone yet.
    pub leftovers: Vec<Leftover>,
    /// Guarded objects, which stay, and why; in words for an event.
    pub kept: Vec<String>,
}

/// Removes everything of `known` that is not in `kept`.
pub async fn prune(
    access: &Access<'_>,
    kept: &[ResolvedObject],
    known: Vec<ResolvedObject>,
    scope: &Scope,
) -> Result<Remains, Fault> {
    let mut remains = Remains::default();
    let stays: BTreeSet<ObjectKey> = kept.iter().map(|placed| placed.object.key()).collect();
    for placed in doomed(kept, known, scope.only_extensions) {
        if !stays.contains(&placed.object.key()) || lives_as(access, &placed).await? {
            remove(access, &placed, scope.delete_data, &mut remains).await?;
        }
    }
    Ok(remains)
}

/// What lives was written by the very release that goes.
async fn lives_as(access: &Access<'_>, placed: &ResolvedObject) -> Result<bool, Fault> {
    let living = access.living(placed).await?;
    Ok(living.is_some_and(|living| living.release() == placed.object.label(label::RELEASE)))
}

/// Last applied first.
fn doomed(
    kept: &[ResolvedObject],
    known: Vec<ResolvedObject>,
    only_extensions: bool,
) -> Vec<ResolvedObject> {
    let kept: Vec<Object> = kept.iter().map(|placed| placed.object.clone()).collect();
    let objects = known.iter().map(|placed| placed.object.clone()).collect();
    let mut wanted: BTreeSet<_> = BTreeSet::new();
    let gone = if only_extensions { withdrawals(&kept, objects) } else { removals(&kept, objects) };
    let order: Vec<_> = gone.iter().map(Object::key).collect();
    let mut doomed: Vec<ResolvedObject> = known
        .into_iter()
        .filter(|placed| order.contains(&placed.object.key()) && wanted.insert(placed.object.key()))
        .collect();
    doomed.sort_by_key(|placed| order.iter().position(|key| key == &placed.object.key()));
    doomed
}

/// Deletes one object if it is ours.
async fn remove(
    access: &Access<'_>,
    placed: &ResolvedObject,
    delete_data: bool,
    remains: &mut Remains,
) -> Result<(), Fault> {
    let key = placed.object.key();
    let Some(kind) = placed.kind.as_ref().or(placed.elsewhere.as_ref()) else {
        // Without its definition there is no object.
        return Ok(());
    };
    let placed = &ResolvedObject { kind: Some(kind.clone()), ..placed.clone() };
    let Some(living) = access.living(placed).await? else { return Ok(()) };
    if living.owner() != Some(access.add_on) {
        tracing::info!(object = %key, "not ours any more, so it stays");
        return Ok(());
    }
    if let Some(why) = adoption::stays(living.taken_over_by(), access.available.as_ref()) {
        tracing::warn!(object = %key, why, "stays");
        remains.kept.push(format!("{key} ({why})"));
        return Ok(());
    }
    if living.0.metadata.deletion_timestamp.is_none() {
        let holds = contents::look(access, placed).await?;
        if let Some(why) = guard(&placed.object, &holds, delete_data) {
            tracing::warn!(object = %key, why, "stays; annotate the ManagedAddOn with lifecycle.open-cluster-management.io/delete-data to remove it too");
            remains.kept.push(format!("{key} ({why})"));
            return Ok(());
        }
        let (_, api) = access.api(placed).await?;
        let how = Some(PropagationPolicy::Background);
        let deleted = delete(&api, placed.object.name(), living.uid(), how).await;
        deleted.map_err(|error| error::to_object_fault(&key, &error))?;
    }
    let still = access.living(placed).await?.filter(|now| now.uid() == living.uid());
    remains.leftovers.extend(still.map(|still| {
        let finalizers = still.0.metadata.finalizers.clone().unwrap_or_default();
        Leftover::Object { object: key, finalizers }
    }));
    Ok(())
}
