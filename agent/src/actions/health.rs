//! Looks at every object of a release, and around those that are not well, and asks the core what it thinks.

mod cel_worker;
mod pods;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::bundle::hook::{Hook, HookRun};
use lifecycle::health::{
    Graces, Health, HealthContext, HealthStatus, PreexistingFailure, Rules, Tolerance,
    ToleratedFailure, Verdict, assess, assess_absent, assess_with, pod_labels,
};
use lifecycle::plan::{Wave, is_job};
use lifecycle::redaction::Redaction;
use lifecycle::{Object, ObjectKey};

use crate::actions::hooks;
use crate::cluster::access::{AT_ONCE, Access, each};
use crate::cluster::resolved::ResolvedObject;

pub use cel_worker::CelWorker;
pub use pods::pods;

/// Workloads whose pods are looked at in one look: one round of requests.
const LOOKED_INTO: usize = AT_ONCE;

struct Looked<'a> {
    object: &'a Object,
    living: Option<Object>,
    health: Health,
}

/// Which Jobs count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jobs {
    All,
    /// Of the release gone back to none was run again.
    No,
    /// One that ran once and was tidied up says nothing of what runs now.
    IfThere,
}

/// By what a release is judged.
pub struct Terms<'a> {
    /// Time spent since it was applied.
    pub since: Duration,
    pub jobs: Jobs,
    pub graces: Graces,
    /// Its own rules, and who asks them.
    pub rules: &'a Arc<Rules>,
    pub judge: &'a CelWorker,
    /// The Jobs of the version before it.
    pub running_jobs: &'a [Object],
    /// What was not whole before the first write, and how long it may take to become so.
    pub before: &'a [PreexistingFailure],
    pub excused_after: Duration,
    /// The operation whose verifying hooks are to be looked at; none on the way back.
    pub proves: Option<HookRun>,
}

pub async fn look(access: &Access<'_>, release: &[ResolvedObject], terms: &Terms<'_>) -> Verdict {
    let counted = release.iter().filter(|placed| Hook::of(&placed.object).is_none());
    let counted = counted.filter(|placed| terms.jobs != Jobs::No || !is_job(&placed.object));
    let mut looked = each(counted.map(|placed| one(access, placed, terms))).await;
    looked.retain(|one| terms.jobs != Jobs::IfThere || one.living.is_some() || !is_job(one.object));
    look_into(access, &mut looked, terms).await;
    ask_rules(&mut looked, terms).await;
    let excused = excuse(&mut looked, terms);
    let verdict = Verdict::combine(looked.into_iter().map(|looked| (looked.object, looked.health)));
    let verdict = verdict.with_tolerated(excused);
    let verdict = match &terms.proves {
        Some(run) if verdict.is_healthy() => proved(access, release, run, verdict).await,
        _ => verdict,
    };
    verdict.redacted(&Redaction::from_secrets(release.iter().map(|placed| &placed.object)))
}

/// What of the running version is not whole, as far as it can be seen.
pub async fn ill(access: &Access<'_>, running: &[ResolvedObject]) -> Vec<PreexistingFailure> {
    let workloads = running.iter().filter(|placed| placed.stage() == Wave::Workloads);
    let found = each(workloads.map(|placed| access.whole(placed))).await;
    let found = found.into_iter().flatten().flatten();
    // It had all the time it needs.
    let judged: Vec<(Object, Health)> = found
        .map(|living| {
            let health = assess(&living, Duration::MAX);
            (living, health)
        })
        .collect();
    lifecycle::health::preexisting_failures(judged.iter().map(|(living, health)| (living, health)))
}

fn excuse(looked: &mut [Looked<'_>], terms: &Terms<'_>) -> Vec<ToleratedFailure> {
    let excuse = Tolerance {
        failures: terms.before,
        since_apply: terms.since,
        grace: terms.excused_after,
        requires_new_pods: terms.jobs != Jobs::No,
    };
    let living = looked.iter_mut().filter_map(|l| Some((l.living.as_ref()?, &mut l.health)));
    excuse.apply(&mut living.collect::<Vec<_>>())
}

/// All is well; what do the hooks say?
async fn proved(
    access: &Access<'_>,
    release: &[ResolvedObject],
    run: &HookRun,
    well: Verdict,
) -> Verdict {
    match hooks::stand(access, release, Hook::Verify, run).await {
        Ok(ran) => well.with_hooks(ran),
        Err(fault) => Verdict::InProgress(fault.message),
    }
}

/// An object that is not well, and why.
pub struct Unwell {
    pub key: ObjectKey,
    pub living: Option<Object>,
    pub said: String,
}

/// The objects of a release that are not well, the failed ones first.
pub async fn unwell(
    access: &Access<'_>,
    release: &[ResolvedObject],
    terms: &Terms<'_>,
) -> Vec<Unwell> {
    let mut looked = each(release.iter().map(|placed| one(access, placed, terms))).await;
    // A hook that was not begun is not missing.
    looked.retain(|one| one.living.is_some() || Hook::of(one.object).is_none());
    look_into(access, &mut looked, terms).await;
    ask_rules(&mut looked, terms).await;
    looked.retain(|one| one.health.status != HealthStatus::Current);
    looked.sort_by_key(|one| one.health.status != HealthStatus::Failed);
    let unwell = looked.into_iter().map(|Looked { object, living, health }| {
        let said = format!("{}: {}", health.status.name(), health.message);
        Unwell { key: object.key(), living, said }
    });
    unwell.collect()
}

async fn one<'a>(access: &Access<'_>, placed: &'a ResolvedObject, terms: &Terms<'_>) -> Looked<'a> {
    let object = &placed.object;
    let context = HealthContext {
        since_apply: terms.since,
        graces: terms.graces,
        ..HealthContext::default()
    };
    match access.whole(placed).await {
        Ok(Some(living)) => {
            Looked { object, health: assess_with(&living, &context), living: Some(living) }
        }
        Ok(None) => {
            Looked { object, health: assess_absent(object, terms.running_jobs), living: None }
        }
        Err(fault) => Looked { object, health: Health::unknown(fault.message), living: None },
    }
}

/// What the release's own rules decide, they decide alone.
async fn ask_rules(looked: &mut [Looked<'_>], terms: &Terms<'_>) {
    let ruled = looked.iter_mut().filter(|looked| terms.rules.applies_to(looked.object));
    let (living, healths): (Vec<Object>, Vec<&mut Health>) =
        ruled.filter_map(|looked| Some((looked.living.take()?, &mut looked.health))).unzip();
    if living.is_empty() {
        return;
    }
    for (health, told) in healths.into_iter().zip(terms.judge.ask(terms.rules, living).await) {
        *health = told;
    }
}

/// Judges workloads that are not well anew, with their pods, and with the nodes where these may excuse them.
async fn look_into(access: &Access<'_>, looked: &mut [Looked<'_>], terms: &Terms<'_>) {
    let by_us = looked.iter_mut().filter(|looked| !terms.rules.applies_to(looked.object));
    let unwell = by_us.filter_map(|looked| {
        let living = looked.living.as_ref().filter(|living| pod_labels(living).is_some())?;
        is_unwell(&looked.health).then_some((living, &mut looked.health))
    });
    let unwell: Vec<(&Object, &mut Health)> = unwell.take(LOOKED_INTO).collect();
    let needs_nodes = unwell.iter().any(|(living, _)| living.kind() == "DaemonSet");
    let nodes = if needs_nodes { pods::nodes(access).await } else { Vec::new() };
    let nodes = &nodes;
    each(unwell.into_iter().map(|(living, health)| async move {
        let pods = pods::pods(access, living).await;
        let now = Some(Timestamp::now());
        let (since_apply, graces) = (terms.since, terms.graces);
        let context = HealthContext { since_apply, now, pods: &pods, nodes, graces };
        *health = assess_with(living, &context);
    }))
    .await;
}

fn is_unwell(health: &Health) -> bool {
    match health.status {
        HealthStatus::InProgress | HealthStatus::Failed => true,
        HealthStatus::Current
        | HealthStatus::Terminating
        | HealthStatus::NotFound
        | HealthStatus::Unknown => false,
    }
}
