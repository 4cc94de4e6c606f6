//! The channels between the tasks. Each holds the newest value only: a task that was busy misses nothing it needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use lifecycle::ManagedAddOn;
use tokio::sync::watch::Receiver;

use crate::assignments::outcome::Outcomes;
use crate::hub_state::HubState;

/// The newest version of every `ManagedAddOn`, by name.
pub type AddOns = Arc<BTreeMap<String, Arc<ManagedAddOn>>>;

/// State of the connection to the hub, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkState {
    /// Whether the last request was answered by a hub that accepts the agent's credentials.
    pub connected: bool,
    /// Time of the last such answer; `None` until the first.
    pub last_contact: Option<Timestamp>,
}

/// Everything that the hub and the cluster hold about add-ons: input for reports and health leases.
#[derive(Clone)]
pub struct Inputs {
    pub hub_state: Receiver<HubState>,
    pub add_ons: Receiver<AddOns>,
    pub outcomes: Receiver<Outcomes>,
}

impl Inputs {
    /// Waits until one of them has a new value.
    pub async fn changed(&mut self) {
        tokio::select! {
            () = changed(&mut self.hub_state) => {}
            () = changed(&mut self.add_ons) => {}
            () = changed(&mut self.outcomes) => {}
        }
    }
}

/// Waits until there is a new value. Never returns once the sender is gone.
pub async fn changed<T>(receiver: &mut Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending().await
    }
}

/// Waits until the hub can be reached again after an outage. Never returns once the sender is gone.
pub async fn reconnected(link_state: &mut Receiver<LinkState>) {
    let is_lost = link_state.wait_for(|state| !state.connected).await.is_ok();
    if !is_lost || link_state.wait_for(|state| state.connected).await.is_err() {
        std::future::pending().await
    }
}
