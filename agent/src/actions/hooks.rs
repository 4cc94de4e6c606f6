//! Begins the Jobs that are a release's hooks, each once an operation, and looks how they stand.

use std::time::Duration;

use lifecycle::Fault;
use lifecycle::bundle::hook::{Hook, HookRun, is_of, job};
use lifecycle::health::{HookStatus, assess_hooks};

use crate::actions::apply::anew;
use crate::actions::check::owned;
use crate::cluster::access::{Access, each};
use crate::cluster::resolved::ResolvedObject;

/// All at once. One that this operation has begun already is left as it is, whatever became of it.
pub async fn run(
    access: &Access<'_>,
    release: &[ResolvedObject],
    hook: Hook,
    run: &HookRun,
    within: Duration,
) -> Result<HookStatus, Fault> {
    let hooks: Vec<&ResolvedObject> = of(release, hook).collect();
    for begun in each(hooks.iter().map(|placed| begin(access, placed, run, within))).await {
        begun?;
    }
    stand(access, release, hook, run).await
}

/// Only looks.
pub async fn stand(
    access: &Access<'_>,
    release: &[ResolvedObject],
    hook: Hook,
    run: &HookRun,
) -> Result<HookStatus, Fault> {
    let looks =
        each(of(release, hook).map(|placed| async {
            access.whole(placed).await.map(|living| (&placed.object, living))
        }));
    let hooks: Result<Vec<_>, Fault> = looks.await.into_iter().collect();
    Ok(assess_hooks(hooks?, run))
}

pub fn of(release: &[ResolvedObject], hook: Hook) -> impl Iterator<Item = &ResolvedObject> {
    release.iter().filter(move |placed| Hook::of(&placed.object) == Some(hook))
}

async fn begin(
    access: &Access<'_>,
    placed: &ResolvedObject,
    run: &HookRun,
    within: Duration,
) -> Result<(), Fault> {
    owned(access, placed, false).await?;
    if access.whole(placed).await?.is_some_and(|living| is_of(&living, run)) {
        return Ok(());
    }
    tracing::info!(hook = %placed.object.key(), "running");
    let object = job(&placed.object, run, within);
    anew(access, &ResolvedObject { object, ..placed.clone() }).await
}
