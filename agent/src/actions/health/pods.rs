//! What is around a workload that is not well: its pods and the nodes, as far as the service account may see them.

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams};
use kube::core::{ApiResource, DynamicObject};
use lifecycle::Object;
use lifecycle::health::pod_labels;

use crate::cluster::access::Access;

/// None where the account may not list them.
pub async fn pods(access: &Access<'_>, workload: &Object) -> Vec<Object> {
    let (Some(labels), Some(namespace)) = (pod_labels(workload), workload.namespace()) else {
        return Vec::new();
    };
    let pairs = labels.iter().map(|(name, value)| format!("{name}={value}"));
    let selector = pairs.collect::<Vec<_>>().join(",");
    let resource = ApiResource::erase::<Pod>(&());
    let api = Api::namespaced_with(access.client.clone(), namespace, &resource);
    list(&api, ListParams::default().labels(&selector)).await
}

/// None where the account may not list them.
pub async fn nodes(access: &Access<'_>) -> Vec<Object> {
    let resource = ApiResource::erase::<Node>(&());
    list(&Api::all_with(access.client.clone(), &resource), ListParams::default()).await
}

/// From the API server's cache.
async fn list(api: &Api<DynamicObject>, params: ListParams) -> Vec<Object> {
    let found = api.list(&params.match_any()).await;
    let objects = found.into_iter().flatten();
    objects.filter_map(|object| serde_json::to_value(object).ok()).map(Object).collect()
}
