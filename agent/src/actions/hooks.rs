//! Runs the Jobs that are a release's hooks, each once per operation, and reports their status.

use std::time::Duration;

use lifecycle::Fault;
use lifecycle::bundle::hook::{Hook, HookRun, is_of_run, prepare_job};
use lifecycle::health::{HookStatus, assess_hooks};

use crate::actions::apply::replace;
use crate::actions::obstacles::write_past;
use crate::actions::release::ResolvedRelease;
use crate::cluster::access::join_bounded;
use crate::cluster::living::LivingObject;
use crate::cluster::ownership::read_owned;
use crate::cluster::resolved::ResolvedObject;

/// Starts all hooks of one kind at once. A hook that this operation started before is left as it is, however it ended.
pub async fn run(
    release: &ResolvedRelease,
    hook: Hook,
    run: &HookRun,
    timeout: Duration,
) -> Result<HookStatus, Fault> {
    let started = hooks_of(release, hook).map(|object| start(release, object, run, timeout));
    for started in join_bounded(started).await {
        started?;
    }
    status(release, hook, run).await
}

/// Returns the status of the hooks of one kind.
pub async fn status(
    release: &ResolvedRelease,
    hook: Hook,
    run: &HookRun,
) -> Result<HookStatus, Fault> {
    let access = &release.access;
    let read = hooks_of(release, hook)
        .map(|object| async { access.get(object).await.map(|living| (&object.manifest, living)) });
    let jobs: Result<Vec<_>, Fault> = join_bounded(read).await.into_iter().collect();
    Ok(assess_hooks(jobs?, run))
}

/// Returns the release's hooks of one kind.
pub fn hooks_of(release: &ResolvedRelease, hook: Hook) -> impl Iterator<Item = &ResolvedObject> {
    release.objects.iter().filter(move |object| object.hook() == Some(hook))
}

async fn start(
    release: &ResolvedRelease,
    object: &ResolvedObject,
    run: &HookRun,
    timeout: Duration,
) -> Result<(), Fault> {
    let access = &release.access;
    let living = read_owned(access, object, false).await?;
    let job_before = living.as_ref().and_then(LivingObject::content);
    if job_before.is_some_and(|job| is_of_run(job, run)) {
        return Ok(());
    }
    tracing::info!(hook = %object.key(), "starting a hook");
    let manifest = prepare_job(&object.manifest, run, timeout);
    write_past(release, || replace(access, object, &manifest, living.as_ref())).await
}
