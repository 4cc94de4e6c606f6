//! Every version of one ManagedAddOn's status, as the API server's watch brings it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, WatchEvent, WatchParams};
use kube::{Client, ResourceExt};
use lifecycle::{ManagedAddOn, ManagedAddOnStatus, Phase};
use tokio::task::JoinHandle;

/// One version; no status when the object is gone.
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

pub struct Recorder {
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<Result<()>>,
}

impl Recorder {
    /// From the present version on, which is not recorded.
    pub async fn start(client: Client, name: &str) -> Result<Self> {
        let api: Api<ManagedAddOn> = Api::all(client);
        let version = api.list(&Default::default()).await?.metadata.resource_version;
        let version = version.context("a list has a version")?;
        let params = WatchParams::default().fields(&format!("metadata.name={name}"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(record(api, params, version, seen.clone()));
        Ok(Self { seen, task })
    }

    pub fn all(&self) -> Result<Vec<Seen>> {
        anyhow::ensure!(!self.task.is_finished(), "the record of phases broke off");
        Ok(lock(&self.seen).clone())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(seen: &Mutex<Vec<Seen>>) -> MutexGuard<'_, Vec<Seen>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn record(
    api: Api<ManagedAddOn>,
    params: WatchParams,
    mut version: String,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<()> {
    // The API server ends a watch now and then; the next goes on at the same version.
    loop {
        let mut events = api.watch(&params, &version).await?.boxed();
        while let Some(event) = events.try_next().await? {
            let at = Instant::now();
            let (object, gone) = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
                WatchEvent::Deleted(object) => (object, true),
                WatchEvent::Bookmark(_) => continue,
                WatchEvent::Error(error) => anyhow::bail!("{error:?}"),
            };
            version = object.resource_version().unwrap_or(version);
            let generation = object.metadata.generation;
            let status = (!gone).then(|| object.status.unwrap_or_default());
            lock(&seen).push(Seen { at, generation, status });
        }
    }
}
