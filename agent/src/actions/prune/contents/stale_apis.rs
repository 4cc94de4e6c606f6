//! Aggregated APIs that are down: discovery answers for them with what it knew before, or with nothing.

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::Client;
use kube::api::Api;
use kube::core::discovery::v2::APIGroupDiscoveryList;
use lifecycle::Fault;

use super::ignored::is_measured;
use crate::cluster::error;

/// Freshness of a version that the API server could not ask.
const STALE: &str = "Stale";

/// Returns the versions of API groups, such as `v1.example.com`, of which nothing can be said.
///
/// # Errors
/// The API server's.
pub async fn stale_apis(agent: &Client) -> Result<Vec<String>, Fault> {
    let groups = agent.list_api_groups_aggregated().await;
    let groups = groups.map_err(|e| error::to_fault("could not look up kinds", &e))?;
    let mut stale = Vec::new();
    for name in stale_versions(&groups) {
        if !is_withdrawn(agent, &name).await {
            stale.push(name);
        }
    }
    Ok(stale)
}

fn stale_versions(groups: &APIGroupDiscoveryList) -> Vec<String> {
    let mut stale = Vec::new();
    for group in &groups.items {
        let name = group.metadata.as_ref().and_then(|metadata| metadata.name.as_deref());
        let name = name.unwrap_or_default();
        let versions = group.versions.iter().filter(|it| it.freshness.as_deref() == Some(STALE));
        let versions = versions.filter(|_| !is_measured(name));
        let names =
            versions.map(|it| format!("{}.{name}", it.version.as_deref().unwrap_or_default()));
        stale.extend(names);
    }
    stale
}

/// Returns whether the API is not registered any more: it was removed a moment ago, and its objects are out of reach.
async fn is_withdrawn(agent: &Client, name: &str) -> bool {
    let services: Api<APIService> = Api::all(agent.clone());
    let found = services.get_metadata(name).await;
    found.is_err_and(|error| error::is_absent(&error, name))
}
