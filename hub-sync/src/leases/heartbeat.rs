//! Shows the hub that the agent is there, though nothing changes.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::{Api, Client};
use lifecycle::names::label;
use tokio::sync::watch;
use tracing::warn;

use crate::backoff::{CONNECT, dependencies};
use crate::kube_error::chain;
use crate::leases::lease::{self, Outcome, Renewal};
use crate::names::{HEARTBEAT, HOLDER};
use crate::{HubLink, recovered};

/// A quarter more or less: ten thousand agents are seventeen writes a second at this.
const PERIOD: Duration = Duration::from_secs(600);

/// How old the heartbeat may become before the agent counts as away: two may be lost.
const AWAY_SECONDS: i32 = 1800;

/// Beats for good.
pub async fn beat(hub: Client, cluster: String, mut link: watch::Receiver<HubLink>) {
    let leases = Api::namespaced(hub, &cluster);
    let mut failures = 0;
    loop {
        let pause = match renew(&leases, &cluster).await {
            Ok(()) => {
                failures = 0;
                dependencies(PERIOD, fastrand::f64())
            }
            Err(error) => {
                if failures == 0 {
                    warn!(error = chain(&error), "cannot renew the heartbeat, will try again");
                }
                failures += 1;
                CONNECT.delay(failures - 1, fastrand::f64())
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = recovered(&mut link), if failures > 0 => {}
        }
    }
}

async fn renew(leases: &Api<Lease>, cluster: &str) -> kube::Result<()> {
    let old = leases.get_opt(HEARTBEAT).await?;
    let new = lease(cluster, Timestamp::now());
    if lease::write(leases, old.as_ref(), &new, Renewal::Always).await? == Outcome::Foreign {
        warn!(
            lease = HEARTBEAT,
            "a lease of somebody else is in the way of the heartbeat, left alone"
        );
    }
    Ok(())
}

fn lease(cluster: &str, now: Timestamp) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some(HEARTBEAT.to_owned()),
            namespace: Some(cluster.to_owned()),
            labels: Some([(label::AGENT.to_owned(), HEARTBEAT.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            renew_time: Some(MicroTime(now)),
            holder_identity: Some(HOLDER.to_owned()),
            lease_duration_seconds: Some(AWAY_SECONDS),
            ..LeaseSpec::default()
        }),
    }
}
