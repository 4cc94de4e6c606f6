//! The watch on all `ManagedAddOn`s. It feeds the drivers and hub-sync.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use hub_sync::AddOns;
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use lifecycle::ManagedAddOn;
use tokio::sync::watch as channel;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::drivers::Drivers;
use crate::cluster::error;
use crate::driver::Shared;
use crate::observability::admin::Readiness;

/// Time after which the watch starts again with a list. A change that a dead connection or a gap in the events hid is seen
/// within a minute.
const RELIST_INTERVAL: Duration = Duration::from_secs(50);

/// The state of the watch, and the receivers of what it delivers.
pub struct AddOnWatch {
    shared: Arc<Shared>,
    /// The newest form of every `ManagedAddOn`, for hub-sync.
    add_ons: channel::Sender<AddOns>,
    readiness: channel::Sender<Readiness>,
    drivers: Drivers,
    /// Cancelled when nothing may be written any more.
    shutdown: CancellationToken,
}

impl AddOnWatch {
    /// Prepares a watch that sends to hub-sync (`add_ons`), the admin server (`readiness`) and new drivers.
    pub fn new(
        shared: Arc<Shared>,
        add_ons: channel::Sender<AddOns>,
        readiness: channel::Sender<Readiness>,
        shutdown: CancellationToken,
    ) -> Self {
        let drivers = Drivers::new(shared.clone(), shutdown.clone());
        Self { shared, add_ons, readiness, drivers, shutdown }
    }

    /// Watches until the future is dropped.
    pub async fn run(mut self) {
        loop {
            _ = timeout(RELIST_INTERVAL, self.list_and_watch()).await;
        }
    }

    async fn list_and_watch(&mut self) {
        let api: Api<DeserializeGuard<ManagedAddOn>> = Api::all(self.shared.cluster.watch_client());
        let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
        let mut listed = BTreeMap::new();
        loop {
            match events.try_next().await {
                Ok(Some(event)) => self.handle_event(event, &mut listed),
                Ok(None) => return,
                Err(error) => self.report_error(&error),
            }
        }
    }

    fn handle_event(
        &mut self,
        event: Event<DeserializeGuard<ManagedAddOn>>,
        listed: &mut BTreeMap<String, Arc<ManagedAddOn>>,
    ) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(guarded) => listed.extend(parse(guarded)),
            Event::InitDone => self.replace_all(std::mem::take(listed)),
            Event::Apply(guarded) => {
                if let Some((name, add_on)) = parse(guarded) {
                    self.update(name, add_on);
                }
            }
            Event::Delete(guarded) => {
                let metadata = guarded.0.map_or_else(|invalid| invalid.metadata, |it| it.metadata);
                self.remove(&metadata.name.unwrap_or_default());
            }
        }
    }

    fn replace_all(&mut self, listed: BTreeMap<String, Arc<ManagedAddOn>>) {
        self.drivers.replace_all(&listed);
        self.add_ons.send_if_modified(|add_ons| {
            let is_different = !versions(add_ons).eq(versions(&listed));
            *add_ons = Arc::new(listed);
            is_different
        });
        self.readiness.send_replace(Readiness::Ready);
        self.recreate_evicted();
    }

    fn update(&mut self, name: String, add_on: Arc<ManagedAddOn>) {
        self.drivers.update(&name, &add_on);
        self.add_ons.send_modify(|add_ons| _ = Arc::make_mut(add_ons).insert(name, add_on));
    }

    fn remove(&mut self, name: &str) {
        self.drivers.remove(name);
        self.add_ons.send_modify(|add_ons| _ = Arc::make_mut(add_ons).remove(name));
        self.recreate_evicted();
    }

    /// Recreates each `ManagedAddOn` that was deleted without an order.
    fn recreate_evicted(&self) {
        let (successors, shutdown) = (self.shared.successors.clone(), self.shutdown.clone());
        tokio::spawn(async move {
            shutdown.run_until_cancelled(successors.recreate_all()).await;
        });
    }

    /// A failed watch makes the agent unready only if it was not ready before, or without the CRD.
    fn report_error(&self, error: &watcher::Error) {
        let is_missing = is_not_served(error);
        let why = if is_missing {
            "the ManagedAddOn CRD is not installed; apply manifests/agent/crd.yaml"
        } else {
            "could not watch the ManagedAddOns"
        };
        tracing::warn!(%error, cause = why, "the watch on ManagedAddOns failed");
        if *self.readiness.borrow() != Readiness::Ready || is_missing {
            self.readiness.send_replace(Readiness::NotReady(why.to_owned()));
        }
    }
}

/// Returns whether the API server does not know the kind.
fn is_not_served(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error::is_not_found(error),
        watcher::Error::WatchError(status) => status.code == 404,
        watcher::Error::NoResourceVersion => false,
    }
}

/// Returns what distinguishes two lists: names and resourceVersions.
fn versions(
    add_ons: &BTreeMap<String, Arc<ManagedAddOn>>,
) -> impl Iterator<Item = (&String, &Option<String>)> {
    add_ons.iter().map(|(name, add_on)| (name, &add_on.metadata.resource_version))
}

/// Returns the name and the object. One that this agent cannot read is skipped and logged.
fn parse(guarded: DeserializeGuard<ManagedAddOn>) -> Option<(String, Arc<ManagedAddOn>)> {
    match guarded.0 {
        Ok(add_on) => Some((add_on.metadata.name.clone()?, Arc::new(add_on))),
        Err(invalid) => {
            let name = invalid.metadata.name.unwrap_or_default();
            tracing::error!(addon = name, error = invalid.error, "skipped unreadable ManagedAddOn");
            None
        }
    }
}
