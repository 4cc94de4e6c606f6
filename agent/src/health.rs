//! Looks at every object of a release, and around those that are not well, and asks the core what it thinks.

mod evidence;

use std::time::Duration;

use jiff::Timestamp;
use lifecycle::Object;
use lifecycle::health::{
    Around, Health, HealthStatus, Verdict, absent, assess, assess_with, pod_labels, verdict,
};

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

/// `back`: this is the release gone back to; its Jobs were not run again and do not count.
pub async fn look(work: &Work<'_>, release: &[Placed], since: Duration, back: bool) -> Verdict {
    let counted = release.iter().filter(|placed| !(back && is_job(&placed.object)));
    let mut looked = each(counted.map(|placed| one(work, placed, since))).await;
    look_into(work, &mut looked, since).await;
    verdict(looked.into_iter().map(|looked| (looked.object, looked.health)))
}

async fn one<'a>(work: &Work<'_>, placed: &'a Placed, since: Duration) -> Looked<'a> {
    let object = &placed.object;
    match living(work, placed).await {
        Ok(Some(living)) => Looked { object, health: assess(&living, since), living: Some(living) },
        Ok(None) => Looked { object, health: absent(object), living: None },
        Err(message) => Looked { object, health: Health::unknown(message), living: None },
    }
}

async fn living(work: &Work<'_>, placed: &Placed) -> Result<Option<Object>, String> {
    let (_, api) = work.api(placed).await.map_err(|fault| fault.message)?;
    let found = api.get_opt(placed.object.name()).await;
    let found = found.map_err(|e| faults::of_object(&placed.object.key(), &e).message)?;
    Ok(found.map(|living| Object(serde_json::to_value(living).unwrap_or_default())))
}

/// Judges workloads that are not well anew, with their pods, and with the nodes where these may excuse them.
async fn look_into(work: &Work<'_>, looked: &mut [Looked<'_>], since: Duration) {
    let unwell = looked.iter_mut().filter_map(|looked| {
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
        let around = Around { since, now, pods: &pods, nodes, ..Around::default() };
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
