//! Pods that keep a StatefulSet from its new template for good. With `OrderedReady` its controller waits for the first pod
//! that is not ready before it replaces any. So a pod that never becomes ready has to be deleted: the "forced rollback" of
//! Kubernetes' documentation of StatefulSets.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::fields::{count_at, find_condition, has_true, is_terminating, parse_time, text_at};
use super::workload::updated_replicas;
use crate::kind::KnownKind;
use crate::object::Object;

/// Longest time between the start of a pod and the first condition of it.
const START: SignedDuration = SignedDuration::from_secs(2);

/// Returns whether pods of an older template may keep the object from its newest one, so that its pods are worth a request.
/// False for everything but a StatefulSet.
pub fn may_have_stuck_pod(set: &Object) -> bool {
    set.is(KnownKind::StatefulSet)
        && text_at(set, "/spec/podManagementPolicy") != "Parallel"
        && count_at(set, "/status/observedGeneration") >= count_at(set, "/metadata/generation")
        && updated_replicas(set) < count_at(set, "/status/replicas")
}

/// Returns the pod that the set's controller waits for, if it never will be of use: the first that is not ready, and of
/// another revision than the newest. A pod of the revision that serves, or served, may be unready for a moment: it gets
/// `grace`, and so does one that is replaced by hand, unless it was never ready. Pods below a partition keep their revision and are never returned.
pub fn find_stuck_pod<'a>(
    set: &Object,
    pods: &'a [Object],
    now: Timestamp,
    grace: Duration,
) -> Option<&'a Object> {
    let pod = find_awaited(set, pods).filter(|_| may_have_stuck_pod(set))?;
    let partition = count_at(set, "/spec/updateStrategy/rollingUpdate/partition");
    if ordinal(pod)? < first_ordinal(set) + partition || has_revision(set, pod, "updateRevision") {
        return None;
    }
    let unready = Duration::try_from(now.duration_since(unready_since(pod)?)).unwrap_or_default();
    let has_served = match is_replaced_by_hand(set) {
        true => !was_never_ready(pod),
        false => has_revision(set, pod, "currentRevision"),
    };
    (!has_served || unready >= grace).then_some(pod)
}

/// With `OnDelete` a pod may be of any earlier revision, and serve.
fn is_replaced_by_hand(set: &Object) -> bool {
    text_at(set, "/spec/updateStrategy/type") == "OnDelete"
}

/// Returns whether the pod has been unready since its start. The kubelet says both at once.
fn was_never_ready(pod: &Object) -> bool {
    let ready = find_condition(pod, "Ready").and_then(|ready| ready.updated);
    let started = parse_time(text_at(pod, "/status/startTime"));
    let between = ready.zip(started).map(|(ready, started)| ready.duration_since(started));
    between.is_some_and(|between| between <= START)
}

/// Returns the pod that the controller waits for: the first that is not ready, unless one is missing before it or it is
/// being deleted.
fn find_awaited<'a>(set: &Object, pods: &'a [Object]) -> Option<&'a Object> {
    let mut own: Vec<(i64, &Object)> = pods
        .iter()
        .filter(|pod| is_owned_by(set, pod))
        .filter_map(|pod| Some((ordinal(pod)?, pod)))
        .collect();
    own.sort_by_key(|(ordinal, _)| *ordinal);
    let is_awaited = |pod: &Object| is_terminating(pod) || !has_true(pod, "Ready");
    let mut without_gap = (first_ordinal(set)..)
        .zip(own)
        .take_while(|(expected, (ordinal, _))| expected == ordinal)
        .map(|(_, (_, pod))| pod);
    without_gap.find(|pod| is_awaited(pod)).filter(|pod| !is_terminating(pod))
}

fn is_owned_by(set: &Object, pod: &Object) -> bool {
    let owner = text_at(pod, "/metadata/ownerReferences/0/uid");
    !owner.is_empty() && owner == text_at(set, "/metadata/uid")
}

/// The number at the end of the name: 2 for `db-2`.
fn ordinal(pod: &Object) -> Option<i64> {
    pod.name().rsplit_once('-')?.1.parse().ok()
}

fn first_ordinal(set: &Object) -> i64 {
    count_at(set, "/spec/ordinals/start")
}

/// Returns whether the pod is of the revision in this field of the set's status.
fn has_revision(set: &Object, pod: &Object, field: &str) -> bool {
    pod.label("controller-revision-hash") == Some(text_at(set, &format!("/status/{field}")))
}

fn unready_since(pod: &Object) -> Option<Timestamp> {
    let ready = find_condition(pod, "Ready").and_then(|ready| ready.updated);
    ready.or_else(|| parse_time(text_at(pod, "/metadata/creationTimestamp")))
}
