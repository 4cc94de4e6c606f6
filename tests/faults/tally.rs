//! How often each object was made and deleted, whoever did it: by watches that last as long as the cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, DynamicObject, WatchEvent, WatchParams};
use kube::core::{ApiResource, GroupVersionKind, PartialObjectMeta};
use kube::{Client, ResourceExt};
use lifecycle::names::{annotation, label};
use tokio::task::JoinHandle;

use crate::snapshot::KINDS;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub made: u32,
    pub deleted: u32,
}

/// By kind and name.
pub type Counts = BTreeMap<String, Count>;

/// By add-on.
type All = Arc<Mutex<BTreeMap<String, Counts>>>;

pub struct Tally {
    all: All,
    tasks: Vec<JoinHandle<Result<()>>>,
}

impl Tally {
    pub async fn start(client: &Client) -> Result<Self> {
        let all = All::default();
        let mut tasks = Vec::new();
        for (group, version, kind) in KINDS {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let list = api.list_metadata(&Default::default()).await?;
            let from = list.metadata.resource_version.context("a list has a version")?;
            tasks.push(tokio::spawn(count(api, kind, from, all.clone())));
        }
        Ok(Self { all, tasks })
    }

    pub fn of(&self, add_on: &str) -> Result<Counts> {
        ensure!(!self.tasks.iter().any(JoinHandle::is_finished), "a count of objects broke off");
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.get(add_on).cloned().unwrap_or_default())
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn count(
    api: Api<DynamicObject>,
    kind: &'static str,
    mut version: String,
    all: All,
) -> Result<()> {
    let params = WatchParams::default().labels(label::ADD_ON);
    // The API server ends a watch now and then; the next goes on at the same version.
    loop {
        let mut events = api.watch_metadata(&params, &version).await?.boxed();
        while let Some(event) = events.try_next().await? {
            let (object, made, deleted) = match event {
                WatchEvent::Added(object) => (object, 1, 0),
                WatchEvent::Modified(object) => (object, 0, 0),
                WatchEvent::Deleted(object) => (object, 0, 1),
                WatchEvent::Bookmark(bookmark) => {
                    version = bookmark.metadata.resource_version;
                    continue;
                }
                WatchEvent::Error(error) => bail!("{error:?}"),
            };
            version = object.resource_version().unwrap_or(version);
            let Some(add_on) = object.labels().get(label::ADD_ON).cloned() else { continue };
            let key = key(kind, &object, &add_on);
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            let count = all.entry(add_on).or_default().entry(key).or_default();
            count.made += made;
            count.deleted += deleted;
        }
    }
}

/// A retained release goes by its version: its own name is a hash.
fn key(kind: &str, object: &PartialObjectMeta<DynamicObject>, add_on: &str) -> String {
    let release = object.labels().contains_key(label::STATE);
    match object.annotations().get(annotation::VERSION).filter(|_| release) {
        Some(version) => format!("release {version}"),
        None => format!("{kind} {}", object.name_any()).replace(add_on, "{name}"),
    }
}

/// What happened since.
pub fn since(before: &Counts, now: &Counts) -> Counts {
    let since = |(key, count): (&String, &Count)| {
        let before = before.get(key).copied().unwrap_or_default();
        let made = count.made - before.made;
        (key.clone(), Count { made, deleted: count.deleted - before.deleted })
    };
    now.iter().map(since).filter(|(_, count)| *count != Count::default()).collect()
}

/// In words; empty when nothing differs.
pub fn differences(counts: &Counts, wanted: &Counts) -> Vec<String> {
    let keys = counts.keys().chain(wanted.keys().filter(|key| !counts.contains_key(*key)));
    let differing = keys.filter_map(|key| {
        let [is, should] = [counts, wanted].map(|all| all.get(key).copied().unwrap_or_default());
        let told = |count: Count| format!("{} times and deleted {}", count.made, count.deleted);
        let is_fine = is == should || is_evidence(key) && is.made <= should.made;
        (!is_fine).then(|| format!("{key} was made {}; should be {}", told(is), told(should)))
    });
    differing.collect()
}

/// Kept if it can be had within seconds; the way back waits for nothing more.
fn is_evidence(key: &str) -> bool {
    key.starts_with("ConfigMap evidence-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_made_twice_is_told() {
        let counts = |made| Counts::from([("ConfigMap a".to_owned(), Count { made, deleted: 0 })]);
        let of = since(&counts(1), &counts(3));
        assert_eq!(differences(&of, &counts(2)), Vec::<String>::new());
        assert_eq!(differences(&of, &counts(1)).len(), 1);
        assert_eq!(differences(&Counts::new(), &counts(1)).len(), 1);
    }

    #[test]
    fn evidence_may_be_missing_and_is_kept_once() {
        let made = |made| {
            let key = "ConfigMap evidence-{name}-2".to_owned();
            Counts::from([(key, Count { made, deleted: 0 })])
        };
        assert!(differences(&Counts::new(), &made(1)).is_empty());
        assert_eq!(differences(&made(2), &made(1)).len(), 1);
    }
}
