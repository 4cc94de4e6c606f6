//! Looks at every object of a release, and around those that are not well, and asks the core what it thinks.

mod evidence;
mod judge;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::Object;
use lifecycle::health::{
    Around, Graces, Health, HealthStatus, Rules, Verdict, absent, assess_with, pod_labels, verdict,
};

pub use judge::Judge;

use crate::apply::is_job;
use crate::faults;
use crate::placed::Placed;
use crate::work::{AT_ONCE, Work, each};

/// Workloads whose pods are looked at in one look: one round of requests.
const LOOKED_INTO: usize = AT_ONCE;

struct Looked<'a> {
    object: &'a Object,
    living: Option<Object>,
    health: Health,
}

/// By what a release is judged.
pub struct Terms<'a> {
    /// Time spent since it was applied.
    pub since: Duration,
    /// This is the release gone back to; its Jobs were not run again and do not count.
    pub back: bool,
    pub graces: Graces,
    /// Its own rules, and who asks them.
    pub rules: &'a Arc<Rules>,
    pub judge: &'a Judge,
}

pub async fn look(work: &Work<'_>, release: &[Placed], terms: &Terms<'_>) -> Verdict {
    let counted = release.iter().filter(|placed| !(terms.back && is_job(&placed.object)));
    let mut looked = each(counted.map(|placed| one(work, placed, terms))).await;
    look_into(work, &mut looked, terms).await;
    ask_rules(&mut looked, terms).await;
    verdict(looked.into_iter().map(|looked| (looked.object, looked.health)))
}

async fn one<'a>(work: &Work<'_>, placed: &'a Placed, terms: &Terms<'_>) -> Looked<'a> {
    let object = &placed.object;
    let around = Around { since: terms.since, graces: terms.graces, ..Around::default() };
    match living(work, placed).await {
        Ok(Some(living)) => {
            Looked { object, health: assess_with(&living, &around), living: Some(living) }
        }
        Ok(None) => Looked { object, health: absent(object), living: None },
        Err(message) => Looked { object, health: Health::unknown(message), living: None },
    }
}

/// What the release's own rules decide, they decide alone.
async fn ask_rules(looked: &mut [Looked<'_>], terms: &Terms<'_>) {
    let ruled = looked.iter_mut().filter(|looked| terms.rules.decide(looked.object));
    let (living, healths): (Vec<Object>, Vec<&mut Health>) =
        ruled.filter_map(|looked| Some((looked.living.take()?, &mut looked.health))).unzip();
    if living.is_empty() {
        return;
    }
    for (health, told) in healths.into_iter().zip(terms.judge.ask(terms.rules, living).await) {
        *health = told;
    }
}

async fn living(work: &Work<'_>, placed: &Placed) -> Result<Option<Object>, String> {
    let (_, api) = work.api(placed).await.map_err(|fault| fault.message)?;
    let found = api.get_opt(placed.object.name()).await;
    let found = found.map_err(|e| faults::of_object(&placed.object.key(), &e).message)?;
    Ok(found.map(|living| Object(serde_json::to_value(living).unwrap_or_default())))
}

/// Judges workloads that are not well anew, with their pods, and with the nodes where these may excuse them.
async fn look_into(work: &Work<'_>, looked: &mut [Looked<'_>], terms: &Terms<'_>) {
    let by_us = looked.iter_mut().filter(|looked| !terms.rules.decide(looked.object));
    let unwell = by_us.filter_map(|looked| {
        let living = looked.living.as_ref().filter(|living| pod_labels(living).is_some())?;
        is_unwell(&looked.health).then_some((living, &mut looked.health))
    });
    let unwell: Vec<(&Object, &mut Health)> = unwell.take(LOOKED_INTO).collect();
    let needs_nodes = unwell.iter().any(|(living, _)| living.kind() == "DaemonSet");
    let nodes = if needs_nodes { evidence::nodes(work).await } else { Vec::new() };
    let nodes = &nodes;
    each(unwell.into_iter().map(|(living, health)| async move {
        let pods = evidence::pods(work, living).await;
        let now = Some(Timestamp::now());
        let (since, graces) = (terms.since, terms.graces);
        let around = Around { since, now, pods: &pods, nodes, graces };
        *health = assess_with(living, &around);
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
