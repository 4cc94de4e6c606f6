//! Why a workload is not healthy, in the words of its pods: what is known of them is lost with the rollback.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{Api, ListParams};
use lifecycle::Object;

use crate::work::Work;

/// Waiting for these is how every pod begins.
const BEGINNING: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// `None` where there is nothing to tell, or where the service account may not see pods.
pub async fn of_pods(work: &Work<'_>, workload: &Object) -> Option<String> {
    let selector = selector(workload)?;
    let pods: Api<Pod> = Api::namespaced(work.client.clone(), workload.namespace()?);
    let params = ListParams::default().labels(&selector).match_any();
    let found = pods.list(&params).await.ok()?;
    let staying = found.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    staying.into_iter().find_map(words)
}

fn selector(workload: &Object) -> Option<String> {
    if crate::apply::is_job(workload) {
        return Some(format!("batch.kubernetes.io/job-name={}", workload.name()));
    }
    let labels = workload.0.pointer("/spec/selector/matchLabels")?.as_object()?;
    let pair = |(name, value): (&String, &serde_json::Value)| {
        value.as_str().map(|value| format!("{name}={value}"))
    };
    Some(labels.iter().filter_map(pair).collect::<Vec<_>>().join(",")).filter(|all| !all.is_empty())
}

fn words(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let (init, main) = (&status.init_container_statuses, &status.container_statuses);
    let containers = init.iter().chain(main).flatten();
    let why = containers.into_iter().find_map(container).or_else(|| {
        let mut conditions = status.conditions.iter().flatten();
        let placed = conditions.find(|condition| condition.type_ == "PodScheduled")?;
        (placed.status == "False").then(|| placed.message.clone())?
    })?;
    Some(format!("pod {}: {why}", pod.metadata.name.as_deref()?))
}

fn container(status: &ContainerStatus) -> Option<String> {
    let state = status.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().filter(|reason| !BEGINNING.contains(reason))?;
        let message = waiting.message.as_deref().unwrap_or_default();
        return Some(format!("{} {reason}: {message}", status.name));
    }
    let ended = state.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
    Some(format!("{} ended with exit code {}", status.name, ended.exit_code))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(status: serde_json::Value, told: Option<&str>) {
        let pod = serde_json::from_value(json!({"metadata": {"name": "a"}, "status": status}));
        assert_eq!(words(&pod.expect("a pod")).as_deref(), told);
    }

    #[test]
    fn pods_tell_what_keeps_them() {
        let container = |state| json!([{"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]);
        let waiting = |reason| json!({"waiting": {"reason": reason, "message": "no such image"}});
        check(json!({"containerStatuses": container(json!({"running": {}}))}), None);
        check(json!({"containerStatuses": container(waiting("ContainerCreating"))}), None);
        check(
            json!({"containerStatuses": container(waiting("ImagePullBackOff"))}),
            Some("pod a: main ImagePullBackOff: no such image"),
        );
        check(
            json!({"initContainerStatuses": container(json!({"terminated": {"exitCode": 3}}))}),
            Some("pod a: main ended with exit code 3"),
        );
        check(
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]}),
            Some("pod a: 0/1 nodes are available"),
        );
    }
}
