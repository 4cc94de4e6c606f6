//! Looks up how the API server serves a kind, and caches the answer.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup;
use kube::Client;
use kube::api::Api;
use kube::core::{DynamicObject, GroupVersionKind, Status};
use kube::discovery::{ApiCapabilities, ApiResource, Scope};
use lifecycle::Object;

use crate::cluster::error::{is_not_found, is_unknown_kind};

/// How to reach the objects of a kind.
#[derive(Clone, Debug)]
pub struct Kind {
    pub resource: ApiResource,
    pub is_namespaced: bool,
}

impl Kind {
    fn new((resource, capabilities): (ApiResource, ApiCapabilities)) -> Self {
        Self { resource, is_namespaced: capabilities.scope == Scope::Namespaced }
    }

    /// Returns the API of the kind in a namespace, or in the cluster if the kind has none.
    pub fn api(&self, client: Client, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace.filter(|_| self.is_namespaced) {
            Some(namespace) => Api::namespaced_with(client, namespace, &self.resource),
            None => Api::all_with(client, &self.resource),
        }
    }
}

/// The kinds that the API server serves.
pub struct Kinds {
    client: Client,
    /// By API version and kind.
    known: Mutex<BTreeMap<(String, String), Kind>>,
}

impl Kinds {
    pub fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// Returns the kind of an object. Each is looked up once, until [`Kinds::forget`].
    pub async fn get(&self, object: &Object) -> Result<Kind, kube::Error> {
        let key = (object.api_version().to_owned(), object.kind().to_owned());
        if let Some(kind) = self.known().get(&key) {
            return Ok(kind.clone());
        }
        let version = object.api_version().split_once('/').map_or(object.api_version(), |(_, v)| v);
        let gvk = GroupVersionKind::gvk(object.group(), version, object.kind());
        let kind = Kind::new(self.discover(&gvk).await?);
        self.known().insert(key, kind.clone());
        Ok(kind)
    }

    /// Returns the kind in any version that is served: an object outlives the version in which it was written.
    pub async fn get_any_version(&self, object: &Object) -> Result<Option<Kind>, kube::Error> {
        let groups = self.client.list_api_groups().await?.groups;
        let group = groups.into_iter().find(|group| group.name == object.group());
        let mut failure = None;
        for version in group.into_iter().flat_map(|group| group.versions) {
            let gvk = GroupVersionKind::gvk(object.group(), &version.version, object.kind());
            match self.discover(&gvk).await {
                Ok(found) => return Ok(Some(Kind::new(found))),
                Err(error) if is_unknown_kind(&error) => {}
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    /// Looks a kind up again next time, because its definition may have changed.
    pub fn forget(&self, api_version: &str, kind: &str) {
        self.known().remove(&(api_version.to_owned(), kind.to_owned()));
    }

    /// Asks the API server for a kind. A group that is listed and answers 404 is not served for a moment. It would be wrong
    /// to conclude from that answer that there are no objects to remove.
    async fn discover(
        &self,
        gvk: &GroupVersionKind,
    ) -> Result<(ApiResource, ApiCapabilities), kube::Error> {
        let error = match kube::discovery::pinned_kind(&self.client, gvk).await {
            Err(error) if is_not_found(&error) => error,
            found_or_failed => return found_or_failed,
        };
        if !is_listed(&self.client.list_api_groups().await?.groups, gvk) {
            return Err(error);
        }
        let message = format!("{} is not served for a moment", gvk.api_version());
        let status = Status { code: 503, message, ..Status::default() };
        Err(kube::Error::Api(Box::new(status)))
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<(String, String), Kind>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether the API server serves this version of the group. The core group is always served and never listed.
fn is_listed(groups: &[APIGroup], gvk: &GroupVersionKind) -> bool {
    let version = gvk.api_version();
    let mut listed = groups.iter().flat_map(|group| &group.versions);
    gvk.group.is_empty() || listed.any(|listed| listed.group_version == version)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::GroupVersionForDiscovery;

    use super::*;

    #[test]
    fn only_a_version_that_is_not_listed_is_unknown() {
        let version = GroupVersionForDiscovery {
            group_version: "example.com/v1".into(),
            ..GroupVersionForDiscovery::default()
        };
        let groups = [APIGroup { versions: vec![version], ..APIGroup::default() }];
        let is_listed =
            |group, version| is_listed(&groups, &GroupVersionKind::gvk(group, version, "X"));
        assert!(is_listed("example.com", "v1") && is_listed("", "v1"));
        assert!(!is_listed("example.com", "v2") && !is_listed("other.example.com", "v1"));
    }
}
