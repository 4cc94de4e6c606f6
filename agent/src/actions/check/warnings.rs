//! Warnings of a check that refuse nothing: pods that would be refused now, webhooks without a service, and the API
//! server's own warnings.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, PostParams};
use lifecycle::bundle::pod::sample_pod;
use lifecycle::bundle::webhook::services;
use lifecycle::{KnownKind, Object, ObjectKey, printable};
use serde_json::json;

use crate::actions::release::ResolvedRelease;
use crate::cluster::access::{Access, join_bounded};
use crate::cluster::error;

/// Maximum number of workloads whose pods are tried.
const MAX_WORKLOADS: usize = 20;
const MAX_WARNINGS: usize = 8;

/// A warning of the API server about one object, from a dry run.
pub struct ApiWarning {
    pub key: ObjectKey,
    pub message: String,
}

/// Adds to the warnings of the check, and shortens them to what a status can hold.
pub async fn collect(
    release: &ResolvedRelease,
    mut warnings: Vec<String>,
    api_warnings: &[ApiWarning],
) -> Vec<String> {
    warnings.extend(refused_pods(release).await);
    warnings.extend(unserved_webhooks(release).await);
    // Last, so that they leave room for the others.
    warnings.extend(merge(api_warnings));
    warnings.truncate(MAX_WARNINGS);
    warnings.iter().map(|warning| printable(warning)).collect()
}

/// Merges equal warnings into one. Leaves out those about Secrets, which could quote values.
fn merge(api_warnings: &[ApiWarning]) -> Vec<String> {
    let mut merged: BTreeMap<&str, (&ObjectKey, usize)> = BTreeMap::new();
    for ApiWarning { key, message } in
        api_warnings.iter().filter(|it| !it.key.is(KnownKind::Secret))
    {
        merged.entry(message).and_modify(|(_, more)| *more += 1).or_insert((key, 0));
    }
    let described = merged.into_iter().map(|(message, (first, more))| match more {
        0 => format!("{first}: {message}"),
        more => format!("{first} (and {more} more): {message}"),
    });
    described.collect()
}

/// The API server accepts a workload whose pods it refuses: only a pod meets quota and Pod Security.
async fn refused_pods(release: &ResolvedRelease) -> Vec<String> {
    let workloads = release.manifests().filter(|manifest| sample_pod(manifest).is_some());
    let access = &release.access;
    let refusals = workloads.take(MAX_WORKLOADS).map(|workload| refused_pod(access, workload));
    join_bounded(refusals).await.into_iter().flatten().collect()
}

/// Tries one pod of a workload. Others may end meanwhile and make room, which cannot be known.
async fn refused_pod(access: &Access, workload: &Object) -> Option<String> {
    let mut pod = sample_pod(workload)?;
    pod["metadata"]["generateName"] = json!("tried-");
    let pod: Pod = serde_json::from_value(pod).ok()?;
    let pods: Api<Pod> = Api::namespaced(access.client.clone(), workload.namespace()?);
    let params = PostParams { dry_run: true, field_manager: None };
    match pods.create(&params, &pod).await {
        Err(kube::Error::Api(status)) if error::is_about_pods(&status) => {
            Some(format!("pods of {} would be refused now: {}", workload.key(), status.message))
        }
        // Anything else is no warning: the account may not create pods itself, or the bundle brings what they need.
        Ok(_) | Err(_) => None,
    }
}

async fn unserved_webhooks(release: &ResolvedRelease) -> Vec<String> {
    let webhooks = release.manifests().map(|manifest| unserved_webhook(release, manifest));
    join_bounded(webhooks).await.into_iter().flatten().collect()
}

/// A webhook is applied last, when the rest of the bundle is up. Without a service it refuses everything, or lets
/// everything pass.
async fn unserved_webhook(release: &ResolvedRelease, webhook: &Object) -> Option<String> {
    for (namespace, name) in services(webhook) {
        let services: Api<Service> = Api::namespaced(release.access.client.clone(), &namespace);
        let Err(error) = services.get_metadata(&name).await else { continue };
        if error::is_absent(&error, &name) {
            let key = webhook.key();
            return Some(match brings_service(release, &namespace, &name) {
                true => {
                    format!("{key} is written last, after its service {namespace}/{name} is up")
                }
                false => format!("{key} has no service: there is no {namespace}/{name}"),
            });
        }
    }
    None
}

fn brings_service(release: &ResolvedRelease, namespace: &str, name: &str) -> bool {
    release.manifests().any(|manifest| {
        manifest.is(KnownKind::Service)
            && manifest.name() == name
            && manifest.namespace() == Some(namespace)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_warnings_are_merged_and_those_about_secrets_left_out() {
        let warning = |kind: &str, name: &str, message: &str| {
            let (group, namespace) = (String::new(), Some("shop".to_owned()));
            let key = ObjectKey { group, kind: kind.to_owned(), namespace, name: name.to_owned() };
            ApiWarning { key, message: message.to_owned() }
        };
        let all = [
            warning("Endpoints", "a", "Endpoints is deprecated"),
            warning("Secret", "b", "data.password is odd"),
            warning("Endpoints", "c", "Endpoints is deprecated"),
            warning("Service", "d", "a name is odd"),
        ];
        let expected = [
            "Endpoints shop/a (and 1 more): Endpoints is deprecated",
            "Service shop/d: a name is odd",
        ];
        assert_eq!(merge(&all), expected);
    }
}
