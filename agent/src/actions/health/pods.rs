//! What is around an unhealthy workload: its pods and the nodes, as far as the service account may list them.

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams};
use kube::core::{ApiResource, DynamicObject};
use lifecycle::Object;
use lifecycle::health::pod_labels;

use crate::cluster::access::Access;
use crate::cluster::living::to_object;

/// Returns the pods of a workload; none where the account may not list them.
pub async fn list_pods(access: &Access, workload: &Object) -> Vec<Object> {
    let (Some(labels), Some(namespace)) = (pod_labels(workload), workload.namespace()) else {
        return Vec::new();
    };
    let pairs = labels.iter().map(|(name, value)| format!("{name}={value}"));
    let selector = pairs.collect::<Vec<_>>().join(",");
    let resource = ApiResource::erase::<Pod>(&());
    let api = Api::namespaced_with(access.client.clone(), namespace, &resource);
    list(&api, ListParams::default().labels(&selector)).await
}

/// Returns the nodes; none where the account may not list them.
pub async fn list_nodes(access: &Access) -> Vec<Object> {
    let resource = ApiResource::erase::<Node>(&());
    list(&Api::all_with(access.client.clone(), &resource), ListParams::default()).await
}

/// Lists from the API server's cache.
async fn list(api: &Api<DynamicObject>, params: ListParams) -> Vec<Object> {
    let found = api.list(&params.match_any()).await;
    found.into_iter().flatten().map(to_object).collect()
}
