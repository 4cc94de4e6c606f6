//! The running drivers, one for each add-on.

use std::collections::BTreeMap;
use std::sync::Arc;

use lifecycle::{ManagedAddOn, PeerState, PeerStates};
use tokio::sync::watch as channel;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::driver::{Shared, drive};

/// Starts, updates and ends a driver for each `ManagedAddOn`.
pub struct Drivers {
    shared: Arc<Shared>,
    /// The state of each add-on, as far as its peers need it.
    peers: channel::Sender<PeerStates>,
    running: BTreeMap<String, RunningDriver>,
    shutdown: CancellationToken,
}

struct RunningDriver {
    /// UID of the `ManagedAddOn`.
    uid: Option<String>,
    /// The driver ends once this is dropped and its action is done.
    add_on: channel::Sender<Arc<ManagedAddOn>>,
    task: JoinHandle<()>,
}

impl Drivers {
    /// Prepares for the first list. Drivers stop when `shutdown` is cancelled.
    pub fn new(shared: Arc<Shared>, shutdown: CancellationToken) -> Self {
        let (peers, running) = (channel::Sender::default(), BTreeMap::new());
        Self { shared, peers, running, shutdown }
    }

    /// Starts, updates and ends drivers so that there is one for each listed `ManagedAddOn`.
    pub fn replace_all(&mut self, listed: &BTreeMap<String, Arc<ManagedAddOn>>) {
        let names: Vec<String> = self.running.keys().cloned().collect();
        for name in names.iter().filter(|name| !listed.contains_key(*name)) {
            self.end(name);
        }
        let peers = listed.iter().map(|(name, it)| (name.clone(), Arc::new(PeerState::read(it))));
        self.update_peers(|known| *known = peers.collect());
        for (name, add_on) in listed {
            self.pass_on(name, add_on);
        }
    }

    /// Passes a new form of a `ManagedAddOn` to its driver and its peers.
    pub fn update(&mut self, name: &str, add_on: &Arc<ManagedAddOn>) {
        let peer = Arc::new(PeerState::read(add_on));
        self.update_peers(|known| _ = known.insert(name.to_owned(), peer));
        self.pass_on(name, add_on);
    }

    /// Ends the driver of a deleted `ManagedAddOn`.
    pub fn remove(&mut self, name: &str) {
        self.end(name);
        self.update_peers(|known| _ = known.remove(name));
    }

    /// Drivers are only woken if something changed that peers need to know.
    fn update_peers(&self, change: impl FnOnce(&mut PeerStates)) {
        self.peers.send_if_modified(|known| {
            let before = known.clone();
            change(known);
            *known != before
        });
    }

    /// A `ManagedAddOn` that was recreated under the same name gets a new driver.
    fn pass_on(&mut self, name: &str, add_on: &Arc<ManagedAddOn>) {
        let driver = match self.running.remove(name) {
            Some(driver) if driver.uid == add_on.metadata.uid && !driver.task.is_finished() => {
                driver.pass_on(add_on);
                driver
            }
            predecessor => self.start(name, add_on, predecessor),
        };
        self.running.insert(name.to_owned(), driver);
    }

    /// Starts a driver, which waits until its predecessor has ended.
    fn start(
        &self,
        name: &str,
        add_on: &Arc<ManagedAddOn>,
        predecessor: Option<RunningDriver>,
    ) -> RunningDriver {
        let (sender, receiver) = channel::channel(add_on.clone());
        let driving = drive(
            self.shared.clone(),
            name.to_owned(),
            receiver,
            self.peers.subscribe(),
            self.shutdown.clone(),
        );
        let task = async move {
            if let Some(RunningDriver { task, add_on, .. }) = predecessor {
                drop(add_on);
                _ = task.await;
            }
            driving.await;
        };
        let span = tracing::info_span!("addon", addon = name);
        let task = tokio::spawn(task.instrument(span));
        RunningDriver { uid: add_on.metadata.uid.clone(), add_on: sender, task }
    }

    fn end(&mut self, name: &str) {
        self.running.remove(name);
        self.shared.metrics.remove_add_on(name);
    }
}

impl RunningDriver {
    fn pass_on(&self, add_on: &Arc<ManagedAddOn>) {
        self.add_on.send_if_modified(|known| {
            let version = &known.metadata.resource_version;
            let is_different = *version != add_on.metadata.resource_version;
            *known = add_on.clone();
            is_different
        });
    }
}
