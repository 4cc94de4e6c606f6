//! The one watch on the hub: this cluster's `ManagedClusterAddOn`s.

use std::time::Duration;

use futures::StreamExt;
use kube::Api;
use kube::runtime::watcher;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::backoff::{Backoff, HUB};
use crate::channels::{LinkState, reconnected};
use crate::hub_state::HubState;
use crate::kube_error::chain;
use crate::link::client::Link;
use crate::ocm::ManagedClusterAddOn;

/// Seconds after which the hub ends a watch. A link that died without a sign is detected within about as long.
const WATCH_SECONDS: u32 = 60;

/// Objects per page of a list, so that a slow link carries little at a time. A cluster has tens of add-ons.
const PAGE_SIZE: u32 = 100;

/// Time without a failure after which the next one counts as the first.
const STABLE_AFTER: Duration = Duration::from_secs(120);

/// Runs for good: keeps the hub state up to date.
///
/// Renewed credentials resume the watch where it was, so that no deletion is missed. Another hub starts it from the
/// beginning.
pub async fn run(
    link: Link,
    cluster: String,
    hub_state: watch::Sender<HubState>,
    mut link_state: watch::Receiver<LinkState>,
) {
    let api = Api::namespaced(link.client(), &cluster);
    let mut address = link.address();
    loop {
        address.mark_unchanged();
        tokio::select! {
            biased;
            _ = address.changed() => info!("the hub's address changed, listing all add-ons"),
            () = watch_hub(api.clone(), &hub_state, &mut link_state) => {}
        }
    }
}

async fn watch_hub(
    api: Api<ManagedClusterAddOn>,
    hub_state: &watch::Sender<HubState>,
    link_state: &mut watch::Receiver<LinkState>,
) {
    let config = watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE_SIZE);
    let mut events = std::pin::pin!(watcher(api, config));
    let mut backoff = Backoff::new(HUB);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => update(hub_state, event.modify(|mca| mca.metadata.managed_fields = None)),
            Err(error) => {
                let resume = record_interruption(&mut backoff, &describe(&error), fastrand::f64());
                // A deletion that is missed is never uninstalled, so that a hub that is back is watched at once.
                tokio::select! {
                    () = tokio::time::sleep_until(resume) => {}
                    () = reconnected(link_state) => {}
                }
            }
        }
    }
}

/// Wakes the other tasks for complete states only: an incomplete list is of no use to them.
fn update(hub_state: &watch::Sender<HubState>, event: watcher::Event<ManagedClusterAddOn>) {
    let is_complete = match &event {
        watcher::Event::Init | watcher::Event::InitApply(_) => false,
        watcher::Event::InitDone | watcher::Event::Apply(_) | watcher::Event::Delete(_) => true,
    };
    hub_state.send_if_modified(|hub_state| {
        *hub_state = std::mem::take(hub_state).after(event);
        is_complete
    });
}

/// Logs the error and returns the time at which to resume, later after each failure.
fn record_interruption(backoff: &mut Backoff, error: &str, random: f64) -> Instant {
    let was_stable = backoff.next_attempt().is_some_and(|resumed| resumed.elapsed() > STABLE_AFTER);
    if was_stable {
        backoff.reset();
    }
    match backoff.is_failing() {
        false => warn!(error, "the watch on the hub was interrupted, will resume"),
        true => debug!(error, "the watch on the hub was interrupted again"),
    }
    backoff.record_failure(Instant::now(), random)
}

fn describe(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => chain(error),
        watcher::Error::WatchError(status) => format!("{} ({})", status.message, status.code),
        watcher::Error::NoResourceVersion => chain(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_until_the_watch_was_stable_for_a_while() {
        let mut backoff = Backoff::new(HUB);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let resume = record_interruption(&mut backoff, "why", 1.0);
            assert_eq!((resume - Instant::now()).as_secs(), seconds);
            tokio::time::advance(resume - Instant::now()).await;
        }
        tokio::time::advance(STABLE_AFTER + Duration::from_secs(1)).await;
        let resume = record_interruption(&mut backoff, "why", 1.0);
        assert_eq!((resume - Instant::now()).as_secs(), 1);
    }
}
