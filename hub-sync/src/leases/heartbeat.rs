//! The heartbeat task: renews the agent's own Lease on the hub, which shows that the agent is alive.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use lifecycle::names::label;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use crate::backoff::{Backoff, HUB, about};
use crate::channels::{LinkState, reconnected};
use crate::kube_error::chain;
use crate::leases::lease::{self, Renewal, WriteOutcome};
use crate::leases::liveness;
use crate::names::HEARTBEAT_LEASE;

/// Time between two renewals, plus or minus a quarter. Ten thousand agents are seventeen writes a second.
const PERIOD: Duration = Duration::from_secs(600);

/// Seconds without a renewal after which the agent counts as away: two renewals may be lost.
const DURATION_SECONDS: i32 = 1800;

/// Runs for good.
pub async fn run(hub: Client, cluster: String, mut link_state: watch::Receiver<LinkState>) {
    let leases = Api::namespaced(hub, &cluster);
    let mut backoff = Backoff::new(HUB);
    loop {
        let next_renewal = match renew(&leases, &cluster).await {
            Ok(()) => {
                backoff.reset();
                Instant::now() + about(PERIOD, fastrand::f64())
            }
            Err(error) => {
                if !backoff.is_failing() {
                    warn!(error = chain(&error), "cannot renew the heartbeat, will retry");
                }
                backoff.record_failure(Instant::now(), fastrand::f64())
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(next_renewal) => {}
            () = reconnected(&mut link_state), if backoff.is_failing() => {}
        }
    }
}

async fn renew(leases: &Api<Lease>, cluster: &str) -> kube::Result<()> {
    let existing = leases.get_opt(HEARTBEAT_LEASE).await?;
    let lease = heartbeat_lease(cluster, Timestamp::now());
    let outcome = lease::write(leases, existing.as_ref(), &lease, Renewal::Always).await?;
    if outcome == WriteOutcome::Foreign {
        warn!(lease = HEARTBEAT_LEASE, "a foreign lease has the name of the heartbeat");
    }
    Ok(())
}

fn heartbeat_lease(cluster: &str, now: Timestamp) -> Lease {
    liveness::renewed(HEARTBEAT_LEASE, cluster, label::AGENT, DURATION_SECONDS, now)
}
