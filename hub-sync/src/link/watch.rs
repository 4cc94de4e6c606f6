//! The one watch on the hub: this cluster's `ManagedClusterAddOn`s.

use std::time::Duration;

use futures::StreamExt;
use kube::Api;
use kube::runtime::watcher;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::backoff::CONNECT;
use crate::hub_state::HubState;
use crate::kube_error::chain;
use crate::link::client::Link;
use crate::ocm::ManagedClusterAddOn;
use crate::{HubLink, recovered};

/// Seconds after which the hub ends a watch, so that a link that died in silence is noticed within about as long.
const LENGTH: u32 = 60;

/// An edge link carries a small page at a time; a cluster has tens of add-ons, not thousands.
const PAGE: u32 = 100;

/// A watch that went on for so long has nothing to do with the trouble before it.
const CALM: Duration = Duration::from_secs(120);

/// Draws the picture of the hub for good.
///
/// When credentials are renewed the watch goes on where it was, so that nothing is lost; when the hub is another one
/// it begins anew.
pub async fn follow(
    link: Link,
    cluster: String,
    picture: watch::Sender<HubState>,
    mut state: watch::Receiver<HubLink>,
) {
    let api = Api::namespaced(link.client(), &cluster);
    let mut address = link.address();
    loop {
        address.mark_unchanged();
        tokio::select! {
            biased;
            _ = address.changed() => info!("another hub, looking at all of it"),
            () = listen(api.clone(), &picture, &mut state) => {}
        }
    }
}

async fn listen(
    api: Api<ManagedClusterAddOn>,
    picture: &watch::Sender<HubState>,
    state: &mut watch::Receiver<HubLink>,
) {
    let config = watcher::Config::default().timeout(LENGTH).page_size(PAGE);
    let mut events = std::pin::pin!(watcher(api, config));
    let mut trouble = Trouble::default();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => draw(picture, event.modify(|mca| mca.metadata.managed_fields = None)),
            // The hub may be back long before the pause is over, and what is deleted unseen is never uninstalled.
            Err(error) => tokio::select! {
                () = tokio::time::sleep(trouble.pause(&words(&error), fastrand::f64())) => {}
                () = recovered(state) => {}
            },
        }
    }
}

/// Everyone looks when a picture is complete; a list half read is not worth a look.
fn draw(picture: &watch::Sender<HubState>, event: watcher::Event<ManagedClusterAddOn>) {
    let worth_a_look = match &event {
        watcher::Event::Init | watcher::Event::InitApply(_) => false,
        watcher::Event::InitDone | watcher::Event::Apply(_) | watcher::Event::Delete(_) => true,
    };
    picture.send_if_modified(|hub| {
        *hub = std::mem::take(hub).after(event);
        worth_a_look
    });
}

/// Failures in a row.
#[derive(Default)]
struct Trouble {
    failures: u32,
    last: Option<Instant>,
}

impl Trouble {
    fn pause(&mut self, error: &str, random: f64) -> Duration {
        if self.last.is_none_or(|last| last.elapsed() > CALM) {
            self.failures = 0;
        }
        match self.failures {
            0 => warn!(error, "the watch on the hub broke off, will go on"),
            _ => debug!(error, "the watch on the hub broke off again"),
        }
        let pause = CONNECT.delay(self.failures, random);
        self.failures += 1;
        self.last = Some(Instant::now() + pause);
        pause
    }
}

fn words(error: &watcher::Error) -> String {
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
    async fn pauses_grow_until_the_watch_was_calm_for_a_while() {
        let mut trouble = Trouble::default();
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let pause = trouble.pause("why", 1.0);
            assert_eq!(pause.as_secs(), seconds);
            tokio::time::advance(pause).await;
        }
        tokio::time::advance(CALM + Duration::from_secs(1)).await;
        assert_eq!(trouble.pause("why", 1.0).as_secs(), 1);
    }
}
