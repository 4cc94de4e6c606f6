//! DaemonSets, and the nodes they cannot reach.

use std::collections::BTreeSet;

use super::fields::{count, is_true, map, number, text};
use super::{Health, HealthContext, pods, workload};
use crate::object::Object;

pub(super) fn daemon_set(object: &Object, context: &HealthContext) -> Health {
    let wanted = number(object, "/status/desiredNumberScheduled");
    let (Some(_), Some(wanted)) = (number(object, "/status/observedGeneration"), wanted) else {
        return Health::in_progress("is not observed yet");
    };
    let updated = ("updated", count(object, "/status/updatedNumberScheduled"));
    let on_delete = text(object, "/spec/updateStrategy/type") == "OnDelete";
    let mut counts = vec![("scheduled", count(object, "/status/currentNumberScheduled"))];
    counts.extend((!on_delete).then_some(updated));
    counts.push(("available", count(object, "/status/numberAvailable")));
    counts.push(("ready", count(object, "/status/numberReady")));
    let Some((what, have)) = counts.into_iter().find(|(_, have)| *have < wanted) else {
        return if on_delete {
            workload::left_to_others(updated.1, wanted, context)
        } else {
            Health::current()
        };
    };
    let told = format!("{have} of {wanted} pods {what}");
    if here_all_is_well(object, wanted, context) {
        return Health::current_but(format!("{told}; the others are on nodes that are away"));
    }
    Health::in_progress(told)
}

/// Every pod on a node that answers is new and ready, and no more are missing than nodes are away. Where no pod runs
/// at all nothing is proved.
fn here_all_is_well(object: &Object, wanted: i64, context: &HealthContext) -> bool {
    let away = away(object, context.nodes);
    let here: Vec<&Object> = pods::of(object, context.pods)
        .filter(|pod| !away.contains(text(pod, "/spec/nodeName")))
        .collect();
    let well = |pod: &&Object| pods::is_newest(object, pod) && is_true(pod, "Ready");
    let due = wanted.saturating_sub(i64::try_from(away.len()).unwrap_or(0));
    let many = i64::try_from(here.len()).unwrap_or(0);
    !here.is_empty() && many >= due && here.iter().all(well)
}

/// Names of the nodes that are NotReady or unreachable and that the pods' node selector chooses.
fn away<'a>(object: &Object, nodes: &'a [Object]) -> BTreeSet<&'a str> {
    let selector = map(object, "/spec/template/spec/nodeSelector").unwrap_or_default();
    let chosen =
        |node: &&Object| selector.iter().all(|(name, value)| node.label(name) == Some(value));
    let gone = nodes.iter().filter(|node| pods::is_away(node));
    gone.filter(chosen).map(|node| node.name()).collect()
}
