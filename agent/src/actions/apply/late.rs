//! Checks the objects that the check before the first write could not: they need others of the bundle, which exist now.

use std::collections::BTreeMap;

use lifecycle::{Direction, Fault, ObjectKey};

use super::{results, write};
use crate::actions::bundle_provides::BundleProvides;
use crate::actions::obstacles::is_clearable;
use crate::actions::release::ResolvedRelease;
use crate::cluster::access::{Access, join_bounded};
use crate::cluster::dry_run::dry_run;
use crate::cluster::living::LivingObject;
use crate::cluster::ownership::ensure_owned;
use crate::cluster::resolved::ResolvedObject;

/// Living objects of this add-on that were read for the check.
pub type Checked = BTreeMap<ObjectKey, LivingObject>;

/// Checks the late objects of a wave before any of them is written. On a rollback each object decides for itself whether
/// it can be restored. Returns the living objects that need not be read again for the write.
pub async fn check(
    release: &ResolvedRelease,
    objects: &[&ResolvedObject],
    direction: Direction,
) -> Result<Checked, Fault> {
    let Direction::Forward { .. } = direction else { return Ok(Checked::new()) };
    let provides: BundleProvides = release.manifests().collect();
    let late: Vec<&ResolvedObject> =
        objects.iter().filter(|object| provides.supports(&object.manifest)).copied().collect();
    let living = join_bounded(late.iter().map(|object| check_object(release, object, direction)));
    let living = results::all_or_fault(living.await)?;
    let checked = late.iter().zip(living).filter_map(|(object, living)| {
        let living = living.filter(|living| is_final(&release.access, living, object))?;
        Some((object.key(), living))
    });
    Ok(checked.collect())
}

/// Until the write, someone else may create a missing object, change a foreign one, or scale a workload.
fn is_final(access: &Access, living: &LivingObject, object: &ResolvedObject) -> bool {
    living.owner() == Some(&access.add_on) && object.ignored_fields.is_empty()
}

async fn check_object(
    release: &ResolvedRelease,
    object: &ResolvedObject,
    direction: Direction,
) -> Result<Option<LivingObject>, Fault> {
    let access = &release.access;
    let living = access.read(object).await?;
    ensure_owned(access, object, living.as_ref(), direction.may_adopt()).await?;
    match dry_run(access, object, living.as_ref()).await {
        Err(fault) if is_clearable(release, &fault).await => Ok(living),
        Err(fault) => Err(write::retry_unknown_kind(access, object, fault)),
        Ok(_) => Ok(living),
    }
}
