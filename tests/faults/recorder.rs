//! Every version of an object, as the API server's watch brings it.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt};
use kube::ResourceExt;
use kube::api::{Api, WatchEvent, WatchParams};
use lifecycle::{ManagedAddOn, ManagedAddOnStatus, Phase};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

/// One version of a `ManagedAddOn`; no status when the object is gone.
#[derive(Clone)]
pub struct Seen {
    pub at: Instant,
    pub generation: Option<i64>,
    pub status: Option<ManagedAddOnStatus>,
}

impl Seen {
    /// At rest with what is asked.
    pub fn settled(&self) -> Option<Phase> {
        let status = self.status.as_ref()?;
        let phase = status.phase.filter(|phase| phase.is_settled())?;
        (status.observed_generation == self.generation).then_some(phase)
    }
}

impl From<Version<ManagedAddOn>> for Seen {
    fn from(version: Version<ManagedAddOn>) -> Self {
        let Version { at, gone, object } = version;
        let generation = object.metadata.generation;
        Self { at, generation, status: (!gone).then(|| object.status.unwrap_or_default()) }
    }
}

#[derive(Clone)]
pub struct Version<K> {
    pub at: Instant,
    pub gone: bool,
    pub object: K,
}

/// Of the object of one name.
pub struct Recorder<K> {
    versions: Arc<Mutex<Vec<Version<K>>>>,
    task: JoinHandle<Result<()>>,
}

impl<K> Recorder<K>
where
    K: Clone + Debug + DeserializeOwned + kube::Resource + Send + Sync + 'static,
{
    /// From the present version on, which is not recorded.
    pub async fn start(api: Api<K>, name: &str) -> Result<Self> {
        let params = WatchParams::default().fields(&format!("metadata.name={name}"));
        let list = api.list_metadata(&Default::default()).await?;
        let version = list.metadata.resource_version.context("a list has a version")?;
        let versions = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(record(api, params, version, versions.clone()));
        Ok(Self { versions, task })
    }

    pub fn all(&self) -> Result<Vec<Version<K>>> {
        anyhow::ensure!(!self.task.is_finished(), "the record of an object broke off");
        Ok(lock(&self.versions).clone())
    }
}

impl<K> Drop for Recorder<K> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn record<K>(
    api: Api<K>,
    params: WatchParams,
    mut version: String,
    versions: Arc<Mutex<Vec<Version<K>>>>,
) -> Result<()>
where
    K: Clone + Debug + DeserializeOwned + kube::Resource,
{
    // The API server ends a watch now and then; the next goes on at the same version.
    loop {
        let mut events = api.watch(&params, &version).await?.boxed();
        while let Some(event) = events.try_next().await? {
            let at = Instant::now();
            let (object, gone) = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
                WatchEvent::Deleted(object) => (object, true),
                WatchEvent::Bookmark(bookmark) => {
                    version = bookmark.metadata.resource_version;
                    continue;
                }
                WatchEvent::Error(error) => anyhow::bail!("{error:?}"),
            };
            version = object.resource_version().unwrap_or(version);
            lock(&versions).push(Version { at, gone, object });
        }
    }
}
