//! Reads objects with what is around them, and judges the health of each.

use jiff::Timestamp;
use lifecycle::health::{
    Health, HealthContext, HealthStatus, assess_absent, assess_with, pod_labels,
};
use lifecycle::{KnownKind, Object};

use super::options::HealthOptions;
use super::pods;
use crate::cluster::access::{Access, MAX_REQUESTS, join_bounded};
use crate::cluster::resolved::ResolvedObject;

/// Maximum number of workloads whose pods are listed in one look: one round of requests.
const MAX_WORKLOADS: usize = MAX_REQUESTS;

/// An object of a release and its health.
pub struct Examined<'a> {
    pub manifest: &'a Object,
    pub living: Option<Object>,
    pub health: Health,
}

/// Judges objects; those that `is_counted` does not accept are left out.
pub async fn examine<'a>(
    access: &Access,
    objects: Vec<&'a ResolvedObject>,
    is_counted: impl Fn(&Examined<'_>, &HealthOptions<'_>) -> bool,
    options: &HealthOptions<'_>,
) -> Vec<Examined<'a>> {
    let objects = objects.into_iter().map(|object| examine_object(access, object, options));
    let mut examined = join_bounded(objects).await;
    examined.retain(|examined| is_counted(examined, options));
    examine_pods(access, &mut examined, options).await;
    apply_rules(&mut examined, options).await;
    examined
}

async fn examine_object<'a>(
    access: &Access,
    object: &'a ResolvedObject,
    options: &HealthOptions<'_>,
) -> Examined<'a> {
    let manifest = &object.manifest;
    let (since_apply, graces) = (options.since_apply, options.graces);
    let context = HealthContext { since_apply, graces, ..HealthContext::default() };
    match access.get(object).await {
        Ok(Some(living)) => {
            Examined { manifest, health: assess_with(&living, &context), living: Some(living) }
        }
        Ok(None) => Examined {
            manifest,
            health: assess_absent(manifest, options.running_jobs),
            living: None,
        },
        Err(fault) => Examined { manifest, health: Health::unknown(fault.message), living: None },
    }
}

/// Judges unhealthy workloads again, with their pods, and with the nodes if these may be the cause.
async fn examine_pods(access: &Access, examined: &mut [Examined<'_>], options: &HealthOptions<'_>) {
    let without_rule = examined.iter_mut().filter(|it| !options.rules.applies_to(it.manifest));
    let unhealthy = without_rule.filter_map(|examined| {
        let living = examined.living.as_ref().filter(|living| pod_labels(living).is_some())?;
        is_unhealthy(&examined.health).then_some((living, &mut examined.health))
    });
    let unhealthy: Vec<(&Object, &mut Health)> = unhealthy.take(MAX_WORKLOADS).collect();
    let needs_nodes = unhealthy.iter().any(|(living, _)| living.is(KnownKind::DaemonSet));
    let nodes = if needs_nodes { pods::list_nodes(access).await } else { Vec::new() };
    let nodes = &nodes;
    join_bounded(unhealthy.into_iter().map(|(living, health)| async move {
        let pods = pods::list_pods(access, living).await;
        let now = Some(Timestamp::now());
        let (since_apply, graces) = (options.since_apply, options.graces);
        let context = HealthContext { since_apply, now, pods: &pods, nodes, graces };
        *health = assess_with(living, &context);
    }))
    .await;
}

/// A health rule of the release decides alone.
async fn apply_rules(examined: &mut [Examined<'_>], options: &HealthOptions<'_>) {
    let with_rule = examined.iter_mut().filter(|it| options.rules.applies_to(it.manifest));
    let (living, healths): (Vec<Object>, Vec<&mut Health>) =
        with_rule.filter_map(|it| Some((it.living.take()?, &mut it.health))).unzip();
    if living.is_empty() {
        return;
    }
    let assessed = options.cel_worker.assess(options.rules, living).await;
    for (health, assessed) in healths.into_iter().zip(assessed) {
        *health = assessed;
    }
}

fn is_unhealthy(health: &Health) -> bool {
    match health.status {
        HealthStatus::InProgress | HealthStatus::Failed => true,
        HealthStatus::Current
        | HealthStatus::Terminating
        | HealthStatus::NotFound
        | HealthStatus::Unknown => false,
    }
}
