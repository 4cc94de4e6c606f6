//! The one watch on the hub: this cluster's `ManagedClusterAddOn`s.

use futures::StreamExt;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::client::Link;
use crate::hub::Hub;
use crate::ocm::ManagedClusterAddOn;
use crate::trouble::chain;

/// Seconds after which the hub ends a watch, so that a link that died in silence is noticed within about as long.
const LENGTH: u32 = 60;

/// An edge link carries a small page at a time; a cluster has tens of add-ons, not thousands.
const PAGE: u32 = 100;

/// Draws the picture of the hub for good.
///
/// When credentials are renewed the watch goes on where it was, so that nothing is lost; when the hub is another one
/// it begins anew.
pub async fn follow(link: &Link, cluster: &str, picture: &watch::Sender<Hub>) {
    let api = Api::namespaced(link.client(), cluster);
    let mut address = link.address();
    loop {
        address.mark_unchanged();
        tokio::select! {
            biased;
            _ = address.changed() => info!("another hub, looking at all of it"),
            () = listen(api.clone(), picture) => {}
        }
    }
}

async fn listen(api: Api<ManagedClusterAddOn>, picture: &watch::Sender<Hub>) {
    let config = watcher::Config::default().timeout(LENGTH).page_size(PAGE);
    let mut events = std::pin::pin!(watcher(api, config).default_backoff());
    let mut complaint = None;
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                complaint = None;
                draw(picture, event.modify(|mca| mca.metadata.managed_fields = None));
            }
            Err(error) => complain(&mut complaint, chain(&error)),
        }
    }
}

/// Everyone looks when a picture is complete; a list half read is not worth a look.
fn draw(picture: &watch::Sender<Hub>, event: watcher::Event<ManagedClusterAddOn>) {
    let worth_a_look = match &event {
        watcher::Event::Init | watcher::Event::InitApply(_) => false,
        watcher::Event::InitDone | watcher::Event::Apply(_) | watcher::Event::Delete(_) => true,
    };
    picture.send_if_modified(|hub| {
        *hub = std::mem::take(hub).after(event);
        worth_a_look
    });
}

fn complain(last: &mut Option<String>, complaint: String) {
    if last.as_ref() == Some(&complaint) {
        debug!(error = complaint, "the watch on the hub failed again");
        return;
    }
    warn!(error = complaint, "the watch on the hub failed, will go on");
    *last = Some(complaint);
}
