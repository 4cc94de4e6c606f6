//! Clears the way of a StatefulSet that waits for a pod which never becomes ready, instead of taking the template it has.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::core::{ApiResource, DynamicObject};
use lifecycle::health::{Verdict, find_stuck_pod, may_have_stuck_pod};
use lifecycle::{Fault, Object, ReleaseId};

use super::Driver;
use crate::actions::health::pods;
use crate::cluster::access::{Access, delete, each};
use crate::cluster::error;
use crate::cluster::resolved::ResolvedObject;
use crate::storage::ledger::now;

impl Driver {
    /// For what was written and is not well yet. At rest pods are not the agent's business.
    pub(super) async fn clear_the_way(&mut self, verdict: Option<&Verdict>) {
        self.hindered = None;
        if !matches!(verdict, Some(Verdict::InProgress(_) | Verdict::Failed(_))) {
            return;
        }
        let Some(watched) =
            self.ledger.rollout.release_under_verification().map(|release| release.id.clone())
        else {
            return;
        };
        if let Err(fault) = self.delete_what_is_in_the_way(&watched).await {
            tracing::debug!(cause = fault.message, "the way was not cleared");
            self.hindered = Some(fault.message);
        }
    }

    /// Told with the health that is waited for: why it may not come.
    pub(super) fn hindered(&self, verdict: Verdict) -> Verdict {
        match (&self.hindered, verdict) {
            (Some(why), Verdict::InProgress(what)) => Verdict::InProgress(format!("{what}; {why}")),
            (_, verdict) => verdict,
        }
    }

    async fn delete_what_is_in_the_way(&mut self, id: &ReleaseId) -> Result<(), Fault> {
        let Some(content) = self.content(id).await? else { return Ok(()) };
        if !content.objects.iter().any(is_stateful_set) {
            return Ok(());
        }
        let placed = self.placed(&content).await?;
        let (access, grace) = (self.access(&content)?, self.shared.graces.pod_failure);
        let sets = placed.iter().filter(|placed| is_stateful_set(&placed.object));
        let cleared = each(sets.map(|set| clear(&access, set, grace))).await;
        cleared.into_iter().collect()
    }
}

fn is_stateful_set(object: &Object) -> bool {
    (object.group(), object.kind()) == ("apps", "StatefulSet")
}

async fn clear(access: &Access<'_>, set: &ResolvedObject, grace: Duration) -> Result<(), Fault> {
    let living = access.whole(set).await?.filter(may_have_stuck_pod);
    let Some(living) = living else { return Ok(()) };
    match find_stuck_pod(&living, &pods(access, &living).await, now(), grace) {
        Some(pod) => remove(access, &living, pod).await,
        None => Ok(()),
    }
}

async fn remove(access: &Access<'_>, set: &Object, pod: &Object) -> Result<(), Fault> {
    let resource = ApiResource::erase::<Pod>(&());
    let namespace = pod.namespace().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(access.client.clone(), namespace, &resource);
    let uid = pod.0.pointer("/metadata/uid").and_then(|uid| uid.as_str()).map(str::to_owned);
    let key = format!("Pod {namespace}/{}", pod.name());
    match delete(&api, pod.name(), uid, None).await {
        Err(error) if !error::is_conflict(&error) => Err(error::to_fault(
            &format!("{key} is not ready, and in the way; deleting it failed"),
            &error,
        )),
        Ok(()) | Err(_) => {
            tracing::info!(set = %set.key(), "deleted {key}, which kept its set from another template");
            Ok(())
        }
    }
}
