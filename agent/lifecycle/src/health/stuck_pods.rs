//! Pods that keep a StatefulSet from its new template for good. With `OrderedReady` its controller waits for the first pod
//! that is not ready before it replaces any, so one that never becomes ready has to be deleted by somebody: "forced
//! rollback" in the documentation of StatefulSets.

use std::time::Duration;

use jiff::Timestamp;

use super::fields::{condition, count, is_true, text, time};
use super::pods::leaves;
use super::workload::updated;
use crate::object::Object;

/// Whether pods of an older template may keep the set from the one it has, so that they are worth a look.
pub fn waits_for_pods(set: &Object) -> bool {
    (set.group(), set.kind()) == ("apps", "StatefulSet")
        && text(set, "/spec/podManagementPolicy") != "Parallel"
        && text(set, "/spec/updateStrategy/type") != "OnDelete"
        && count(set, "/status/observedGeneration") >= count(set, "/metadata/generation")
        && updated(set) < count(set, "/status/replicas")
}

/// The pod that the set's controller waits for, if it never will be of use: the first that is not ready, of another
/// revision than the one asked for. One of the revision that serves, or served, may be unready for a moment: it gets
/// `grace`. Those below a partition stay what they are.
pub fn in_the_way<'a>(
    set: &Object,
    pods: &'a [Object],
    now: Timestamp,
    grace: Duration,
) -> Option<&'a Object> {
    let first = awaited(set, pods).filter(|_| waits_for_pods(set))?;
    let partition = count(set, "/spec/updateStrategy/rollingUpdate/partition");
    if ordinal(first)? < start(set) + partition || is_of(set, first, "/status/updateRevision") {
        return None;
    }
    let gone_by = Duration::try_from(now.duration_since(unready_since(first)?)).unwrap_or_default();
    let served = is_of(set, first, "/status/currentRevision");
    (!served || gone_by >= grace).then_some(first)
}

/// What the controller waits for: the first pod that is not ready, if none is missing below it and it is not going.
fn awaited<'a>(set: &Object, pods: &'a [Object]) -> Option<&'a Object> {
    let mut own: Vec<(i64, &Object)> = pods
        .iter()
        .filter(|pod| is_owned_by(set, pod))
        .filter_map(|pod| Some((ordinal(pod)?, pod)))
        .collect();
    own.sort_by_key(|(ordinal, _)| *ordinal);
    let waits = |pod: &Object| leaves(pod) || !is_true(pod, "Ready");
    let whole = (start(set)..).zip(own).take_while(|(wanted, (there, _))| wanted == there);
    let (_, (_, first)) = whole.into_iter().find(|(_, (_, pod))| waits(pod))?;
    (!leaves(first)).then_some(first)
}

fn is_owned_by(set: &Object, pod: &Object) -> bool {
    let owner = text(pod, "/metadata/ownerReferences/0/uid");
    !owner.is_empty() && owner == text(set, "/metadata/uid")
}

/// `db-2` is the third, where the set does not begin elsewhere.
fn ordinal(pod: &Object) -> Option<i64> {
    pod.name().rsplit_once('-')?.1.parse().ok()
}

fn start(set: &Object) -> i64 {
    count(set, "/spec/ordinals/start")
}

fn is_of(set: &Object, pod: &Object, revision: &str) -> bool {
    pod.label("controller-revision-hash") == Some(text(set, revision))
}

fn unready_since(pod: &Object) -> Option<Timestamp> {
    let ready = condition(pod, "Ready").and_then(|ready| ready.at);
    ready.or_else(|| time(text(pod, "/metadata/creationTimestamp")))
}
