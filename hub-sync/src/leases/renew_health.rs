//! The task that renews and deletes health leases on the managed cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use kube::{Api, Client};
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::backoff::{IDLE, at_least};
use crate::channels::Inputs;
use crate::kube_error::{chain, with_timeout};
use crate::leases::health::{self, HealthLease};
use crate::leases::lease::{self, Renewal, WriteOutcome};

/// OCM's own period for such leases. Up to a quarter is added, which is OCM's jitter.
const RENEWAL_PERIOD: Duration = Duration::from_secs(60);

/// Runs for good.
pub async fn run(managed: Client, mut inputs: Inputs) {
    let mut renewals: BTreeMap<HealthLease, Instant> = BTreeMap::new();
    let mut written: BTreeSet<HealthLease> = BTreeSet::new();
    loop {
        let working = working(&mut inputs);
        for lease in removed(&inputs, &written) {
            delete(&managed, &lease).await;
            written.remove(&lease);
        }
        renewals.retain(|lease, _| working.contains(lease));
        for lease in working {
            let due = renewals.entry(lease.clone()).or_insert_with(Instant::now);
            if *due <= Instant::now() {
                renew(&managed, &lease).await;
                written.insert(lease);
                *due = Instant::now() + at_least(RENEWAL_PERIOD, fastrand::f64());
            }
        }
        let next_turn = renewals.values().copied().fold(Instant::now() + IDLE, Instant::min);
        tokio::select! {
            () = inputs.changed() => {}
            () = tokio::time::sleep_until(next_turn) => {}
        }
    }
}

fn working(inputs: &mut Inputs) -> Vec<HealthLease> {
    let hub_state = inputs.hub_state.borrow_and_update();
    let add_ons = inputs.add_ons.borrow_and_update();
    health::working(&hub_state, &add_ons, &inputs.outcomes.borrow_and_update())
}

/// Returns the leases whose add-on is being uninstalled or is gone.
fn removed(inputs: &Inputs, written: &BTreeSet<HealthLease>) -> Vec<HealthLease> {
    let add_ons = inputs.add_ons.borrow();
    written.iter().filter(|lease| health::is_removed(&add_ons, &lease.add_on)).cloned().collect()
}

/// A foreign lease stays. One that cannot be deleted expires by itself.
async fn delete(managed: &Client, health_lease: &HealthLease) {
    let HealthLease { add_on, namespace } = health_lease;
    let leases = Api::namespaced(managed.clone(), namespace);
    match lease::delete(&leases, &health_lease.renewed(Timestamp::now())).await {
        Ok(()) => debug!(add_on, "health lease deleted"),
        Err(error) => warn!(add_on, error = chain(&error), "cannot delete the health lease"),
    }
}

async fn renew(managed: &Client, health_lease: &HealthLease) {
    let HealthLease { add_on, namespace } = health_lease;
    match write(managed, health_lease).await {
        Ok(WriteOutcome::Written | WriteOutcome::Unchanged) => {
            debug!(add_on, "health lease renewed")
        }
        Ok(WriteOutcome::Foreign) => debug!(add_on, "the add-on renews its lease itself"),
        Err(error) => {
            let error = chain(&error);
            warn!(add_on, namespace, error, "cannot renew the health lease, will retry");
        }
    }
}

async fn write(managed: &Client, health_lease: &HealthLease) -> kube::Result<WriteOutcome> {
    let leases = Api::namespaced(managed.clone(), &health_lease.namespace);
    let existing = with_timeout(leases.get_opt(&health_lease.add_on)).await?;
    let lease = health_lease.renewed(Timestamp::now());
    lease::write(&leases, existing.as_ref(), &lease, Renewal::Always).await
}
