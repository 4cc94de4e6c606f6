//! The agent's tasks: one watch on `ManagedAddOn`s, a driver for each add-on, hub-sync, and the admin server.

mod drivers;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use hub_sync::{AddOns, LinkState};
use tokio::sync::Semaphore;
use tokio::sync::watch as channel;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::actions::health::CelWorker;
use crate::args::Settings;
use crate::cluster::Cluster;
use crate::driver::{CrashSuspects, KnownSightings, Shared};
use crate::observability::admin::{self, Readiness};
use crate::observability::events::Events;
use crate::observability::metrics::Metrics;
use crate::storage::agent_identity::AgentIdentity;
use crate::storage::agent_lease::AgentLease;
use crate::storage::successor::Successors;

use watch::AddOnWatch;

/// Time for open requests to the admin server after SIGTERM. The ledger needs none of it.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// Runs the agent until `shutdown` is cancelled.
///
/// # Errors
/// If the admin server's address or the kubeconfig cannot be used.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new()?);
    let starting = Readiness::NotReady("starting".to_owned());
    let (readiness, readiness_receiver) = channel::channel(starting);
    let listener = admin::bind(settings.listen).await?;
    let serving = admin::serve(listener, metrics.clone(), readiness_receiver, shutdown.clone());
    let admin_server = tokio::spawn(serving);
    let cluster = Cluster::connect(settings.kubeconfig.as_deref()).await?;
    let identity = AgentIdentity::of_agent(&[&cluster.url(), &settings.namespace]);
    let lease = AgentLease::new(cluster.agent_client(), &settings.namespace, identity);
    let hub = settings.hub.clone();
    let shared = Arc::new(share(settings, cluster, metrics));
    let working = async {
        loop {
            let report = |why| _ = readiness.send_replace(Readiness::NotReady(why));
            lease.acquire(report).await;
            work_with_lease(&lease, &shared, hub.clone(), &readiness).await;
        }
    };
    shutdown.run_until_cancelled(working).await;
    lease.release().await;
    _ = timeout(SHUTDOWN_GRACE, admin_server).await;
    Ok(())
}

/// Returns what all drivers share.
fn share(settings: Settings, cluster: Cluster, metrics: Arc<Metrics>) -> Shared {
    Shared {
        successors: Successors::new(cluster.agent_client(), &settings.namespace),
        namespace: settings.namespace,
        metrics,
        events: Events::new(cluster.agent_client()),
        pull_settings: settings.pull_settings,
        cel_worker: CelWorker::new(),
        graces: settings.graces,
        slots: Arc::new(Semaphore::new(settings.max_rollouts)),
        large_turn: Arc::new(Semaphore::new(1)),
        crash_suspects: CrashSuspects::default(),
        watch_settings: settings.watch_settings,
        sightings: KnownSightings::default(),
        cluster,
    }
}

/// Runs everything that writes to the cluster. All of it is dropped at once when the lease is lost.
async fn work_with_lease(
    lease: &AgentLease,
    shared: &Arc<Shared>,
    hub: Option<hub_sync::Settings>,
    readiness: &channel::Sender<Readiness>,
) {
    let shutdown = CancellationToken::new();
    let _cancel_on_drop = shutdown.clone().drop_guard();
    let (add_ons, add_ons_receiver) = channel::channel(AddOns::default());
    let watch = AddOnWatch::new(shared.clone(), add_ons, readiness.clone(), shutdown.clone());
    let syncing = sync_with_hub(hub, shared, add_ons_receiver, shutdown);
    tokio::select! {
        ((), ()) = futures::future::join(watch.run(), syncing) => {}
        () = lease.keep_renewed() => {}
    }
}

/// Runs hub-sync if a hub is configured.
async fn sync_with_hub(
    settings: Option<hub_sync::Settings>,
    shared: &Shared,
    add_ons: channel::Receiver<AddOns>,
    shutdown: CancellationToken,
) {
    let Some(settings) = settings else { return };
    let (link_state, mut receiver) = channel::channel(LinkState::default());
    let metrics = shared.metrics.clone();
    tokio::spawn(async move {
        while receiver.changed().await.is_ok() {
            metrics.set_link_state(*receiver.borrow_and_update());
        }
    });
    let span = tracing::info_span!("hub");
    let managed = shared.cluster.agent_client();
    hub_sync::run(settings, managed, add_ons, link_state, shutdown).instrument(span).await;
}
