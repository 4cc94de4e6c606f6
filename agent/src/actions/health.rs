//! Reads every object of a release, and the pods of unhealthy ones, and lets the core judge them.

mod cel_worker;
mod examine;
mod options;
mod pods;

use std::time::Duration;

use lifecycle::bundle::hook::{Hook, HookRun};
use lifecycle::health::{
    Health, HealthStatus, PreexistingFailure, Tolerance, ToleratedFailure, Verdict, assess,
};
use lifecycle::plan::waves::Wave;
use lifecycle::redaction::Redaction;
use lifecycle::{KnownKind, Object, ObjectKey};

use crate::actions::hooks;
use crate::actions::release::ResolvedRelease;
use crate::cluster::access::{Access, join_bounded};
use crate::cluster::resolved::ResolvedObject;
use examine::{Examined, examine};

pub use cel_worker::CelWorker;
pub use options::{HealthOptions, JobPolicy};
pub use pods::list_pods;

/// Returns the health of a release.
pub async fn check_health(release: &ResolvedRelease, options: &HealthOptions<'_>) -> Verdict {
    let counted = release.objects.iter().filter(|object| options.counts(object)).collect();
    let mut examined = examine(&release.access, counted, is_counted, options).await;
    let tolerated = tolerate(&mut examined, options);
    let verdict = Verdict::combine(examined.into_iter().map(|it| (it.manifest, it.health)))
        .with_tolerated(tolerated);
    let verdict = match &options.verify_run {
        Some(run) if verdict.is_healthy() => await_hooks(release, run, verdict).await,
        _ => verdict,
    };
    verdict.redacted(&Redaction::from_secrets(release.manifests()))
}

fn is_counted(examined: &Examined<'_>, options: &HealthOptions<'_>) -> bool {
    options.jobs != JobPolicy::IfPresent
        || examined.living.is_some()
        || !examined.manifest.is(KnownKind::Job)
}

/// Tolerates preexisting failures, and returns them.
fn tolerate(examined: &mut [Examined<'_>], options: &HealthOptions<'_>) -> Vec<ToleratedFailure> {
    let tolerance = Tolerance {
        failures: options.preexisting,
        since_apply: options.since_apply,
        grace: options.tolerated_after,
        requires_new_pods: options.jobs != JobPolicy::Ignored,
    };
    let living = examined.iter_mut().filter_map(|it| Some((it.living.as_ref()?, &mut it.health)));
    tolerance.apply(&mut living.collect::<Vec<_>>())
}

/// Everything else is healthy, so the verify hooks decide.
async fn await_hooks(release: &ResolvedRelease, run: &HookRun, healthy: Verdict) -> Verdict {
    match hooks::status(release, Hook::Verify, run).await {
        Ok(status) => healthy.with_hooks(status),
        Err(fault) => Verdict::InProgress(fault.message),
    }
}

/// Returns the workloads of the running version that lack pods, as far as they can be read.
pub async fn preexisting_failures(running: &ResolvedRelease) -> Vec<PreexistingFailure> {
    let workloads = running.objects.iter().filter(|object| object.wave() == Wave::Workloads);
    let living = join_bounded(workloads.map(|object| running.access.get(object))).await;
    let living = living.into_iter().flatten().flatten();
    // They had all the time that they need.
    let judged: Vec<(Object, Health)> = living
        .map(|living| {
            let health = assess(&living, Duration::MAX);
            (living, health)
        })
        .collect();
    lifecycle::health::preexisting_failures(judged.iter().map(|(living, health)| (living, health)))
}

/// An unhealthy object.
pub struct Unhealthy {
    pub key: ObjectKey,
    pub living: Option<Object>,
    /// Its status and the message.
    pub description: String,
}

/// Returns the unhealthy objects, the failed ones first.
pub async fn list_unhealthy(
    access: &Access,
    objects: Vec<&ResolvedObject>,
    options: &HealthOptions<'_>,
) -> Vec<Unhealthy> {
    // A hook that was not started is not missing.
    let is_expected = |examined: &Examined<'_>, _: &HealthOptions<'_>| {
        examined.living.is_some() || Hook::of(examined.manifest).is_none()
    };
    let mut examined = examine(access, objects, is_expected, options).await;
    examined.retain(|examined| examined.health.status != HealthStatus::Current);
    examined.sort_by_key(|examined| examined.health.status != HealthStatus::Failed);
    examined.into_iter().map(Unhealthy::from).collect()
}

impl From<Examined<'_>> for Unhealthy {
    fn from(examined: Examined<'_>) -> Self {
        let Examined { manifest, living, health } = examined;
        let description = format!("{}: {}", health.status.name(), health.message);
        Self { key: manifest.key(), living, description }
    }
}
