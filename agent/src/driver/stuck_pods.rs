//! Deletes the pod that keeps a StatefulSet from its new template: one that never becomes ready, for which its controller
//! waits.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::core::{ApiResource, DynamicObject};
use lifecycle::health::{Verdict, find_stuck_pod, may_have_stuck_pod};
use lifecycle::{Fault, KnownKind, Object, ReleaseId};

use super::Driver;
use crate::actions::health::list_pods;
use crate::cluster::access::{Access, delete_by_uid, join_bounded};
use crate::cluster::error;
use crate::cluster::resolved::ResolvedObject;
use crate::storage::ledger::now;

impl Driver {
    /// Deletes stuck pods of a release that is not healthy yet. At rest pods are not the agent's business.
    pub(super) async fn delete_stuck_pods(&mut self, verdict: Option<&Verdict>) {
        self.stuck_pod_error = None;
        if !matches!(
            verdict,
            Some(Verdict::InProgress(_) | Verdict::Missing { .. } | Verdict::Failed(_))
        ) {
            return;
        }
        let release = self.ledger.rollout.release_under_verification();
        let Some(id) = release.map(|release| release.id.clone()) else { return };
        if let Err(fault) = self.delete_stuck_pods_of(&id).await {
            tracing::debug!(cause = fault.message, "could not delete a stuck pod");
            self.stuck_pod_error = Some(fault.message);
        }
    }

    /// Adds to a verdict why it may never become healthy.
    pub(super) fn explain_stuck_pods(&self, verdict: Verdict) -> Verdict {
        match (&self.stuck_pod_error, verdict) {
            (Some(why), Verdict::InProgress(what)) => Verdict::InProgress(format!("{what}; {why}")),
            (_, verdict) => verdict,
        }
    }

    async fn delete_stuck_pods_of(&mut self, id: &ReleaseId) -> Result<(), Fault> {
        let Some(content) = self.load(id).await? else { return Ok(()) };
        if !content.objects.iter().any(is_stateful_set) {
            return Ok(());
        }
        let release = self.resolve(content).await?;
        let (access, grace) = (&release.access, self.shared.graces.pod_failure);
        let sets = release.objects.iter().filter(|object| is_stateful_set(&object.manifest));
        let deleted = join_bounded(sets.map(|set| delete_stuck_pod(access, set, grace))).await;
        deleted.into_iter().collect()
    }
}

fn is_stateful_set(object: &Object) -> bool {
    object.is(KnownKind::StatefulSet)
}

async fn delete_stuck_pod(
    access: &Access,
    set: &ResolvedObject,
    grace: Duration,
) -> Result<(), Fault> {
    let Some(living) = access.get(set).await?.filter(may_have_stuck_pod) else { return Ok(()) };
    match find_stuck_pod(&living, &list_pods(access, &living).await, now(), grace) {
        Some(pod) => delete_pod(access, &living, pod).await,
        None => Ok(()),
    }
}

async fn delete_pod(access: &Access, set: &Object, pod: &Object) -> Result<(), Fault> {
    let resource = ApiResource::erase::<Pod>(&());
    let namespace = pod.namespace().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(access.client.clone(), namespace, &resource);
    let uid = pod.0.pointer("/metadata/uid").and_then(|uid| uid.as_str());
    let key = format!("Pod {namespace}/{}", pod.name());
    match delete_by_uid(&api, pod.name(), uid, None).await {
        Err(error) if !error::is_conflict(&error) => {
            let context =
                format!("{key} is not ready and blocks its StatefulSet; could not delete it");
            Err(error::to_fault(&context, &error))
        }
        Ok(()) | Err(_) => {
            tracing::info!(set = %set.key(), pod = key, "deleted a pod that blocked its StatefulSet");
            Ok(())
        }
    }
}
