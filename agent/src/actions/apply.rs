//! Writes one wave of a release by server-side apply.

mod adopt;
mod established;
mod kept_on_rollback;
mod late;
mod refusals;
mod replace;
mod results;
mod write;

use lifecycle::plan::jobs::has_run;
use lifecycle::plan::waves::Wave;
use lifecycle::{Direction, Fault, KeptObject, KnownKind, Object};

use crate::actions::obstacles::write_past;
use crate::actions::release::ResolvedRelease;
use crate::cluster::access::{Access, join_bounded};
use crate::cluster::living::LivingObject;
use crate::cluster::ownership::read_owned;
use crate::cluster::resolved::ResolvedObject;

pub use adopt::mark_adopted;
pub use refusals::Written;
pub use replace::replace;
pub use write::write;

/// Writes the objects of a wave. Hooks belong to no wave.
///
/// A rollback skips Jobs, which would run again, and leaves alone each object whose restoring would lose data; it returns
/// the latter, and those that are refused. A Job in `running_jobs` belongs to the running version too; it is not run again
/// if it was deleted.
///
/// # Errors
/// Forward, a lasting fault of one object before a transient one of another. The other objects are written all the same. On
/// a rollback only that the API server does not answer.
pub async fn apply(
    release: &ResolvedRelease,
    wave: Wave,
    running_jobs: &[Object],
    direction: Direction,
) -> Result<Written, Fault> {
    let access = &release.access;
    let objects = objects_of(release, wave, direction);
    let mut checked = late::check(release, &objects, direction).await?;
    let pending: Vec<_> =
        objects.iter().map(|object| (*object, checked.remove(&object.key()))).collect();
    let written = pending.into_iter().map(|(object, checked)| async move {
        let living = match checked {
            Some(living) => Some(living),
            // Someone else may have created the object since the check.
            None => read_owned(access, object, direction.may_adopt()).await?,
        };
        if living.is_none() && has_run(&object.manifest, running_jobs) {
            return Ok(None);
        }
        write_object(release, object, living, direction).await
    });
    let mut written = join_bounded(written).await;
    if wave == Wave::Definitions {
        let written_ones = objects.iter().zip(&mut written);
        join_bounded(
            written_ones.map(|(object, written)| await_established(access, object, written)),
        )
        .await;
    }
    match direction {
        Direction::Forward { .. } => results::all_or_fault(written).map(Written::keeping),
        Direction::Rollback => {
            let keys = objects.iter().map(|object| object.key());
            refusals::sort(access, keys.zip(written).collect()).await
        }
    }
}

async fn await_established(
    access: &Access,
    object: &ResolvedObject,
    written: &mut Result<Option<KeptObject>, Fault>,
) {
    if let Ok(None) = written {
        *written = established::wait(access, object).await.map(|()| None);
    }
}

fn objects_of(release: &ResolvedRelease, wave: Wave, direction: Direction) -> Vec<&ResolvedObject> {
    let objects = release.objects.iter();
    objects
        .filter(|object| object.wave() == wave && object.hook().is_none())
        .filter(|object| !(direction == Direction::Rollback && object.manifest.is(KnownKind::Job)))
        .collect()
}

/// Returns the object if a rollback kept it as it is.
async fn write_object(
    release: &ResolvedRelease,
    object: &ResolvedObject,
    mut living: Option<LivingObject>,
    direction: Direction,
) -> Result<Option<KeptObject>, Fault> {
    let access = &release.access;
    let marked = mark_adopted(access, object, living.as_ref()).into_owned();
    match direction {
        Direction::Forward { adopt: true } => {
            if let Some(found) = living {
                living = Some(adopt::take_ownership(access, &marked, found).await?);
            }
        }
        Direction::Forward { adopt: false } => {}
        Direction::Rollback => {
            if let Some(cause) = kept_on_rollback::cause(release, &marked, living.as_ref()).await? {
                return Ok(Some(KeptObject { object: object.key(), cause }));
            }
        }
    }
    write_past(release, || write(access, &marked, living.as_ref())).await.map(|_| None)
}
