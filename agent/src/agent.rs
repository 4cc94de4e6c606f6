//! The agent's tasks: one watch on `ManagedAddOn`s, a driver per add-on, hub-sync, and the admin server.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use hub_sync::{AddOns, LinkState};
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use lifecycle::{ManagedAddOn, PeerState, PeerStates};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::actions::health::CelWorker;
use crate::args::Settings;
use crate::cluster::Cluster;
use crate::cluster::error;
use crate::driver::{Shared, Suspicion, drive};
use crate::observability::admin;
use crate::observability::events::Events;
use crate::observability::metrics::Metrics;
use crate::storage::agent_lease::AgentLease;
use crate::storage::successor::Successors;

/// A watch is begun anew with a list this often: what a dead connection or a gap in the events kept back is known within
/// a minute.
const LIST_EVERY: Duration = Duration::from_secs(50);

/// What open requests get to end after SIGTERM; the ledger needs none of it.
const GRACE: Duration = Duration::from_millis(500);

pub async fn run(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new()?);
    let (readiness, not_ready) = watch::channel(Some("starting".to_owned()));
    let listener = admin::bind(settings.listen).await?;
    let admin = tokio::spawn(admin::serve(listener, metrics.clone(), not_ready, shutdown.clone()));
    let cluster = Cluster::connect(settings.kubeconfig.as_deref()).await?;
    let shared = Arc::new(Shared {
        successors: Successors::new(cluster.own(), &settings.namespace),
        namespace: settings.namespace,
        metrics,
        events: Events::new(cluster.own()),
        pull_settings: settings.pull_settings,
        judge: CelWorker::new(),
        graces: settings.graces,
        slots: Arc::new(Semaphore::new(settings.max_rollouts)),
        suspicion: Suspicion::default(),
        watching: settings.watching,
        cluster,
    });
    let holder = AgentLease::new(shared.cluster.own(), &shared.namespace);
    let working = async {
        loop {
            holder.acquire(|why| _ = readiness.send_replace(Some(why))).await;
            work_while_held(&holder, &shared, settings.hub.as_ref(), &readiness).await;
        }
    };
    shutdown.run_until_cancelled(working).await;
    holder.release().await;
    _ = tokio::time::timeout(GRACE, admin).await;
    Ok(())
}

/// Everything that writes. It is dropped, wherever it is, when the Lease is lost.
async fn work_while_held(
    holder: &AgentLease,
    shared: &Arc<Shared>,
    hub_settings: Option<&hub_sync::Settings>,
    readiness: &watch::Sender<Option<String>>,
) {
    let ended = CancellationToken::new();
    let _end_of_all = ended.clone().drop_guard();
    let (add_ons, all) = watch::channel(AddOns::default());
    let (own, metrics) = (shared.cluster.own(), shared.metrics.clone());
    let hub = hub(hub_settings.cloned(), own, all, metrics, ended.clone());
    let agent = Agent {
        shared: shared.clone(),
        add_ons,
        neighbours: watch::Sender::default(),
        readiness: readiness.clone(),
        driven: BTreeMap::new(),
        ended,
    };
    tokio::select! {
        ((), ()) = futures::future::join(agent.watch(), hub) => {}
        () = holder.keep_renewed() => {}
    }
}

/// hub-sync, or nothing where no hub is configured.
async fn hub(
    settings: Option<hub_sync::Settings>,
    managed: kube::Client,
    add_ons: watch::Receiver<AddOns>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    let Some(settings) = settings else { return };
    let (link, mut state) = watch::channel(LinkState::default());
    tokio::spawn(async move {
        while state.changed().await.is_ok() {
            metrics.set_hub_link(*state.borrow_and_update());
        }
    });
    let span = tracing::info_span!("hub");
    hub_sync::run(settings, managed, add_ons, link, shutdown).instrument(span).await;
}

struct Agent {
    shared: Arc<Shared>,
    /// The newest of every `ManagedAddOn`, for hub-sync.
    add_ons: watch::Sender<AddOns>,
    /// What add-ons have to know of each other.
    neighbours: watch::Sender<PeerStates>,
    readiness: watch::Sender<Option<String>>,
    driven: BTreeMap<String, Driven>,
    /// Cancelled when nothing may be written any more.
    ended: CancellationToken,
}

/// A driver at work.
struct Driven {
    uid: Option<String>,
    changes: watch::Sender<Arc<ManagedAddOn>>,
    task: JoinHandle<()>,
}

impl Agent {
    async fn watch(mut self) {
        loop {
            _ = timeout(LIST_EVERY, self.watch_on()).await;
        }
    }

    async fn watch_on(&mut self) {
        let api: Api<DeserializeGuard<ManagedAddOn>> = Api::all(self.shared.cluster.watching());
        let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
        let mut listed = BTreeMap::new();
        loop {
            match events.try_next().await {
                Ok(Some(event)) => self.handle(event, &mut listed),
                Ok(None) => return,
                Err(error) => self.not_listed(&error),
            }
        }
    }

    fn handle(
        &mut self,
        event: Event<DeserializeGuard<ManagedAddOn>>,
        listed: &mut BTreeMap<String, Arc<ManagedAddOn>>,
    ) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(guarded) => {
                if let Some((name, object)) = readable(guarded) {
                    listed.insert(name, object);
                }
            }
            Event::InitDone => {
                let gone: Vec<String> = self
                    .driven
                    .keys()
                    .filter(|name| !listed.contains_key(*name))
                    .cloned()
                    .collect();
                gone.iter().for_each(|name| self.drop_driver(name));
                let all = std::mem::take(listed);
                let dependencies =
                    all.iter().map(|(name, it)| (name.clone(), Arc::new(PeerState::read(it))));
                self.meet(|known| *known = dependencies.collect());
                all.iter().for_each(|(name, object)| self.changed(name, object));
                self.add_ons.send_if_modified(|known| {
                    let differs = versions(known) != versions(&all);
                    *known = Arc::new(all);
                    differs
                });
                self.readiness.send_replace(None);
                self.raise_successors();
            }
            Event::Apply(guarded) => {
                if let Some((name, object)) = readable(guarded) {
                    let neighbour = Arc::new(PeerState::read(&object));
                    self.meet(|known| _ = known.insert(name.clone(), neighbour));
                    self.changed(&name, &object);
                    self.publish(|all| _ = all.insert(name, object));
                }
            }
            Event::Delete(guarded) => {
                let name =
                    guarded.0.map_or_else(|bad| bad.metadata.name, |good| good.metadata.name);
                let name = name.unwrap_or_default();
                self.drop_driver(&name);
                self.meet(|known| _ = known.remove(&name));
                self.publish(|all| _ = all.remove(&name));
                self.raise_successors();
            }
        }
    }

    /// What went away though nobody ordered it comes back.
    fn raise_successors(&self) {
        let (successors, ended) = (self.shared.successors.clone(), self.ended.clone());
        tokio::spawn(async move {
            ended.run_until_cancelled(successors.recreate_all()).await;
        });
    }

    fn publish(&self, change: impl FnOnce(&mut BTreeMap<String, Arc<ManagedAddOn>>)) {
        self.add_ons.send_modify(|all| change(Arc::make_mut(all)));
    }

    /// Told only where something changed that others have to know.
    fn meet(&self, change: impl FnOnce(&mut PeerStates)) {
        self.neighbours.send_if_modified(|known| {
            let before = known.clone();
            change(known);
            *known != before
        });
    }

    /// Gives the newest form to the driver; one made anew under the same name gets a driver of its own.
    fn changed(&mut self, name: &str, object: &Arc<ManagedAddOn>) {
        let before = self.driven.remove(name);
        let driven = match before {
            Some(driven) if driven.uid == object.metadata.uid && !driven.task.is_finished() => {
                driven.changes.send_if_modified(|known| {
                    let differs =
                        known.metadata.resource_version != object.metadata.resource_version;
                    *known = object.clone();
                    differs
                });
                driven
            }
            before => self.start(name, object, before),
        };
        self.driven.insert(name.to_owned(), driven);
    }

    fn start(&self, name: &str, object: &Arc<ManagedAddOn>, before: Option<Driven>) -> Driven {
        let (changes, receiver) = watch::channel(object.clone());
        let (shared, shutdown, add_on) = (self.shared.clone(), self.ended.clone(), name.to_owned());
        let neighbours = self.neighbours.subscribe();
        let task = async move {
            if let Some(Driven { task, changes, .. }) = before {
                drop(changes);
                _ = task.await;
            }
            drive(shared, add_on, receiver, neighbours, shutdown).await;
        };
        let span = tracing::info_span!("addon", addon = name);
        let task = tokio::spawn(task.instrument(span));
        Driven { uid: object.metadata.uid.clone(), changes, task }
    }

    fn drop_driver(&mut self, name: &str) {
        self.driven.remove(name);
        self.shared.metrics.remove_add_on(name);
    }

    fn not_listed(&self, error: &watcher::Error) {
        let missing = is_not_served(error);
        let why = if missing {
            "the ManagedAddOn CRD is not installed; apply it from manifests/agent/crd.yaml"
        } else {
            "the ManagedAddOns cannot be watched"
        };
        tracing::warn!(%error, "{why}");
        if self.readiness.borrow().is_some() || missing {
            self.readiness.send_replace(Some(why.to_owned()));
        }
    }
}

/// The API server says that it does not know the kind.
fn is_not_served(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error::is_not_found(error),
        watcher::Error::WatchError(status) => status.code == 404,
        watcher::Error::NoResourceVersion => false,
    }
}

/// By which two lists of the same are told apart.
fn versions(all: &BTreeMap<String, Arc<ManagedAddOn>>) -> Vec<(&String, &Option<String>)> {
    all.iter().map(|(name, object)| (name, &object.metadata.resource_version)).collect()
}

/// An object that this agent cannot read is skipped and named, never fatal.
fn readable(guarded: DeserializeGuard<ManagedAddOn>) -> Option<(String, Arc<ManagedAddOn>)> {
    match guarded.0 {
        Ok(object) => Some((object.metadata.name.clone()?, Arc::new(object))),
        Err(bad) => {
            let name = bad.metadata.name.unwrap_or_default();
            tracing::error!(addon = name, error = bad.error, "skipped: this agent cannot read it");
            None
        }
    }
}
