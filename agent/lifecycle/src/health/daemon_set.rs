//! DaemonSets, and the nodes that are not ready.

use std::collections::BTreeSet;

use super::context::HealthContext;
use super::fields::{count_at, has_true, number_at, strings_at, text_at};
use super::status::Health;
use super::{pods, workload};
use crate::object::Object;

/// A DaemonSet is `Current` when all its pods are scheduled, updated, available and ready, or only those on nodes that
/// are not ready are missing. With `OnDelete` pods are updated when they are deleted.
pub(super) fn assess_daemon_set(object: &Object, context: &HealthContext) -> Health {
    let desired = number_at(object, "/status/desiredNumberScheduled");
    let (Some(_), Some(desired)) = (number_at(object, "/status/observedGeneration"), desired)
    else {
        return Health::in_progress("is not observed yet");
    };
    let is_on_delete = text_at(object, "/spec/updateStrategy/type") == "OnDelete";
    let missing = counts(object, is_on_delete).into_iter().find(|(_, count)| *count < desired);
    let Some((what, count)) = missing else {
        let updated = count_at(object, "/status/updatedNumberScheduled");
        return match is_on_delete {
            true => workload::assess_on_delete(updated, desired, context),
            false => Health::current(),
        };
    };
    let message = format!("{count} of {desired} pods {what}");
    if is_healthy_on_ready_nodes(object, desired, context) {
        return Health::current_with(format!(
            "{message}; the others are on nodes that are not ready"
        ));
    }
    Health::in_progress(message)
}

/// The counts that have to reach the desired number, each with its name.
fn counts(object: &Object, is_on_delete: bool) -> Vec<(&'static str, i64)> {
    let updated = ("updated", count_at(object, "/status/updatedNumberScheduled"));
    let mut counts = vec![("scheduled", count_at(object, "/status/currentNumberScheduled"))];
    counts.extend((!is_on_delete).then_some(updated));
    counts.push(("available", count_at(object, "/status/numberAvailable")));
    counts.push(("ready", count_at(object, "/status/numberReady")));
    counts
}

/// Returns whether every pod on a ready node is new and ready, and no more pods are missing than nodes are not ready.
/// Without any pod nothing is proved.
fn is_healthy_on_ready_nodes(object: &Object, desired: i64, context: &HealthContext) -> bool {
    let unready = unready_nodes(object, context.nodes);
    let reachable: Vec<&Object> = pods::pods_of(object, context.pods)
        .filter(|pod| !unready.contains(text_at(pod, "/spec/nodeName")))
        .collect();
    let is_healthy = |pod: &&Object| pods::is_of_newest(object, pod) && has_true(pod, "Ready");
    let required = desired.saturating_sub(i64::try_from(unready.len()).unwrap_or(0));
    let count = i64::try_from(reachable.len()).unwrap_or(0);
    !reachable.is_empty() && count >= required && reachable.iter().all(is_healthy)
}

/// Names of the nodes that are not ready and match the pods' node selector. Affinity is not read.
fn unready_nodes<'a>(object: &Object, nodes: &'a [Object]) -> BTreeSet<&'a str> {
    let selector = strings_at(object, "/spec/template/spec/nodeSelector").unwrap_or_default();
    let is_selected =
        |node: &&Object| selector.iter().all(|(name, value)| node.label(name) == Some(value));
    let unready = nodes.iter().filter(|node| pods::is_unready_node(node));
    unready.filter(is_selected).map(|node| node.name()).collect()
}
