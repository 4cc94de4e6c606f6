//! What a check tells and does not refuse for: pods that would be refused now, webhooks without a service, and what the
//! API server itself warns of.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use lifecycle::plan::{pod_of, services_of};
use lifecycle::{Object, ObjectKey, printable};
use serde_json::json;

use crate::cluster::access::{Access, each};
use crate::cluster::error;
use crate::cluster::resolved::ResolvedObject;

/// Workloads tried, and warnings told.
const MOST: usize = 20;
const MOST_TOLD: usize = 8;

/// What the API server warned of in a dry run.
pub struct Heard {
    pub key: ObjectKey,
    pub words: String,
}

pub async fn warnings(
    access: &Access<'_>,
    release: &[ResolvedObject],
    mut warnings: Vec<String>,
    heard: &[Heard],
) -> Vec<String> {
    let workloads = release.iter().filter(|placed| pod_of(&placed.object).is_some()).take(MOST);
    let refused = each(workloads.map(|placed| refused_pods(access, &placed.object))).await;
    warnings.extend(refused.into_iter().flatten());
    let unserved =
        each(release.iter().map(|placed| unserved_webhook(access, placed, release))).await;
    warnings.extend(unserved.into_iter().flatten());
    // Last, so that they leave room for the others.
    warnings.extend(gathered(heard));
    warnings.truncate(MOST_TOLD);
    warnings.iter_mut().for_each(|warning| *warning = printable(warning));
    warnings
}

/// The same words are told once, however many objects they are about; about a Secret none, as values could be in them.
fn gathered(heard: &[Heard]) -> Vec<String> {
    let mut about: BTreeMap<&str, (&ObjectKey, usize)> = BTreeMap::new();
    for Heard { key, words } in heard.iter().filter(|heard| heard.key.kind != "Secret") {
        about.entry(words).and_modify(|(_, more)| *more += 1).or_insert((key, 0));
    }
    let told = about.into_iter().map(|(words, (first, more))| match more {
        0 => format!("{first}: {words}"),
        more => format!("{first} (and {more} more): {words}"),
    });
    told.collect()
}

/// A workload is taken by the API server although its pods are not: only a pod finds quota and Pod Security in its way. One
/// is tried; that others end meanwhile, and make room, cannot be known.
async fn refused_pods(access: &Access<'_>, workload: &Object) -> Option<String> {
    let mut pod = pod_of(workload)?;
    pod["metadata"]["generateName"] = json!("tried-");
    let pod: Pod = serde_json::from_value(pod).ok()?;
    let pods: Api<Pod> = Api::namespaced(access.client.clone(), workload.namespace()?);
    let params = PostParams { dry_run: true, field_manager: None };
    match pods.create(&params, &pod).await {
        Err(kube::Error::Api(status)) if error::is_about_pods(&status) => {
            Some(format!("pods of {} would be refused now: {}", workload.key(), status.message))
        }
        // Anything else is no warning: the account may not make pods itself, or what they need comes with the bundle.
        Ok(_) | Err(_) => None,
    }
}

/// A webhook comes last, when what the bundle brings is up; a service that nobody brings makes it refuse or let through
/// everything.
async fn unserved_webhook(
    access: &Access<'_>,
    placed: &ResolvedObject,
    release: &[ResolvedObject],
) -> Option<String> {
    for (namespace, name) in services_of(&placed.object) {
        let brought = release.iter().any(|other| {
            let object = &other.object;
            object.kind() == "Service"
                && object.name() == name
                && object.namespace() == Some(namespace.as_str())
        });
        let services: Api<k8s_openapi::api::core::v1::Service> =
            Api::namespaced(access.client.clone(), &namespace);
        let absent = match services.get_metadata(&name).await {
            Ok(_) => false,
            Err(error) => error::is_absent(&error, &name),
        };
        if absent {
            let key = placed.object.key();
            return Some(match brought {
                true => {
                    format!("{key} is written last, after its service {namespace}/{name} is up")
                }
                false => format!("{key} has no service: there is no {namespace}/{name}"),
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_are_told_once_and_of_secrets_none() {
        let heard = |kind: &str, name: &str, words: &str| {
            let (group, namespace) = (String::new(), Some("shop".to_owned()));
            let key = ObjectKey { group, kind: kind.to_owned(), namespace, name: name.to_owned() };
            Heard { key, words: words.to_owned() }
        };
        let all = [
            heard("Endpoints", "a", "Endpoints is deprecated"),
            heard("Secret", "b", "data.password is odd"),
            heard("Endpoints", "c", "Endpoints is deprecated"),
            heard("Service", "d", "a name is odd"),
        ];
        let expected = [
            "Endpoints shop/a (and 1 more): Endpoints is deprecated",
            "Service shop/d: a name is odd",
        ];
        assert_eq!(gathered(&all), expected);
    }
}
