//! Writes one stage of a release with server-side apply.

mod adopt;
mod kept_on_rollback;
mod replace;

use std::time::Duration;

use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;
use lifecycle::bundle::hook::Hook;
use lifecycle::bundle::ignored_fields;
use lifecycle::health::{HealthStatus, assess};
use lifecycle::names::FIELD_MANAGER;
use lifecycle::plan::{Wave, has_run, is_job, is_replaceable};
use lifecycle::{Direction, Fault, KeptObject, Object, Reason};
use tokio::time::{Instant, sleep};

use crate::actions::check::owned;
use crate::cluster::access::{Access, each};
use crate::cluster::dry_run::dry_run;
use crate::cluster::error;
use crate::cluster::resolved::{BundleProvides, ResolvedObject};

/// The API server serves a new definition within a second or two.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(100);

pub use adopt::marked;
pub use replace::anew;

/// Writes what belongs to a stage; hooks belong to none.
///
/// A rollback does not run finished Jobs again, and leaves as it is what would lose data by it; returns those objects. Nor are
/// Jobs run again that the version that runs brought, `running_jobs`, and
/// that are gone.
pub async fn apply(
    access: &Access<'_>,
    release: &[ResolvedObject],
    stage: Wave,
    running_jobs: &[Object],
    direction: Direction,
) -> Result<Vec<KeptObject>, Fault> {
    let (back, may_adopt) = match direction {
        Direction::Forward { adopt } => (false, adopt),
        Direction::Rollback => (true, false),
    };
    let of_stage: Vec<&ResolvedObject> = release
        .iter()
        .filter(|placed| placed.stage() == stage && Hook::of(&placed.object).is_none())
        .filter(|placed| !(back && is_job(&placed.object)))
        .collect();
    let brought = BundleProvides::by(release.iter().map(|placed| &placed.object));
    // Going back, each object decides for itself whether it can be put back.
    let late = of_stage.iter().filter(|placed| !back && brought.carries(&placed.object));
    first_fault(each(late.map(|placed| judge(access, placed, may_adopt))).await)?;
    let written = of_stage.iter().map(|placed| async {
        // Since the check another may have come; on the way back a mark that was taken off makes no stranger.
        let living = owned(access, placed, may_adopt || back).await?;
        if has_run(&placed.object, running_jobs) && living.is_none() {
            return Ok(None);
        }
        let placed = &*adopt::marked(access, placed, living.as_ref());
        if may_adopt && let Some(living) = living {
            adopt::take_over(access, placed, living).await?;
        }
        if back && let Some(cause) = kept_on_rollback::cause(access, placed).await? {
            return Ok(Some(KeptObject { object: placed.object.key(), cause }));
        }
        write(access, placed, release).await.map(|_| None)
    });
    let left = sort_out(each(written).await)?;
    if stage == Wave::Definitions {
        first_fault(each(of_stage.iter().map(|placed| established(access, placed))).await)?;
    }
    Ok(left)
}

/// What the check had to leave open, now that what it stands on is there.
async fn judge(access: &Access<'_>, placed: &ResolvedObject, may_adopt: bool) -> Result<(), Fault> {
    owned(access, placed, may_adopt).await?;
    match dry_run(access, placed).await {
        Err(fault) if fault.reason == Reason::ImmutableField && is_replaceable(&placed.object) => {
            Ok(())
        }
        Err(fault) => Err(unless_unserved(access, placed, fault)),
        Ok(_) => Ok(()),
    }
}

/// What was looked up may be of a definition that is gone or new, or that is not served for a moment: in mid-rollout that is
/// waited for, not failed for.
fn unless_unserved(access: &Access<'_>, placed: &ResolvedObject, fault: Fault) -> Fault {
    if fault.reason != Reason::UnknownKind {
        return fault;
    }
    access.cluster.forget(placed.object.api_version(), placed.object.kind());
    Fault { transient: true, ..fault }
}

/// Puts an object as its release says; returns the resourceVersion it then has.
pub async fn write(
    access: &Access<'_>,
    placed: &ResolvedObject,
    release: &[ResolvedObject],
) -> Result<Option<String>, Fault> {
    let (_, api) = access.api(placed).await?;
    let object = as_others_left_it(&api, placed, release).await?;
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let written = api.patch(object.name(), &params, &Patch::Apply(&object)).await;
    match written.map_err(|e| error::to_object_fault(&placed.object.key(), &e)) {
        Ok(written) => Ok(written.metadata.resource_version),
        Err(fault) if fault.reason == Reason::ImmutableField && is_replaceable(&placed.object) => {
            replace::anew(access, placed).await.map(|()| None)
        }
        Err(fault) => Err(unless_unserved(access, placed, fault)),
    }
}

/// The object with the fields that are others' once it exists.
async fn as_others_left_it(
    api: &Api<DynamicObject>,
    placed: &ResolvedObject,
    release: &[ResolvedObject],
) -> Result<Object, Fault> {
    let mut object = placed.object.clone();
    let others = ignored_fields::pointers(&object, release.iter().map(|other| &other.object));
    if others.is_empty() {
        return Ok(object);
    }
    let living = api.get_opt(object.name()).await;
    if let Some(living) = living.map_err(|e| error::to_object_fault(&object.key(), &e))? {
        let living = Object(serde_json::to_value(living).unwrap_or_default());
        ignored_fields::yield_to(&mut object, &living, &others);
    }
    Ok(object)
}

/// Waits until objects of a definition can be written.
async fn established(access: &Access<'_>, placed: &ResolvedObject) -> Result<(), Fault> {
    let (_, api) = access.api(placed).await?;
    let key = placed.object.key();
    let deadline = Instant::now() + ESTABLISHED_WITHIN;
    while Instant::now() < deadline {
        let living =
            api.get(placed.object.name()).await.map_err(|e| error::to_object_fault(&key, &e))?;
        let living = Object(serde_json::to_value(living).unwrap_or_default());
        match assess(&living, Duration::ZERO) {
            health if health.status == HealthStatus::Current => return Ok(()),
            health if health.status == HealthStatus::Failed => {
                return Err(Fault::new(
                    Reason::ObjectRefused,
                    format!("{key}: {}", health.message),
                ));
            }
            _ => sleep(LOOK).await,
        }
    }
    Err(Fault::transient(Reason::ApplyFailed, format!("{key} is not established yet")))
}

/// The kept objects, or the fault that decides.
fn sort_out(results: Vec<Result<Option<KeptObject>, Fault>>) -> Result<Vec<KeptObject>, Fault> {
    let (mut left, mut faults) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(kept) => left.extend(kept),
            Err(fault) => faults.push(Err(fault)),
        }
    }
    first_fault(faults).map(|()| left)
}

/// A lasting fault decides over a passing one.
fn first_fault(results: Vec<Result<(), Fault>>) -> Result<(), Fault> {
    let mut faults: Vec<Fault> = results.into_iter().filter_map(Result::err).collect();
    faults.sort_by_key(|fault| fault.transient);
    faults.into_iter().next().map_or(Ok(()), Err)
}
