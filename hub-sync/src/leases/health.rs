//! The leases by which OCM's registration agent sees that a stand-alone add-on is healthy, on the managed cluster.
//!
//! Whether a lease is renewed says whether the add-on serves, not whether its newest version is there. So it goes on
//! through a rollout over a version that ran: OCM's patience is five minutes, a rollout may take fifteen, and a
//! cluster whose add-on blinks off for every upgrade falls out of placements that ask for the add-on. It stops when a
//! rollout or a rollback failed for good, when what runs became unhealthy, on removal, and before the first version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::{Api, Client};
use lifecycle::names::label;
use lifecycle::{ManagedAddOn, ManagedAddOnStatus, Phase, Reason};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::assignments::outcome::{Standing, Standings};
use crate::backoff::{IDLE, at_least};
use crate::hub_state::HubState;
use crate::kube_error::{chain, in_time};
use crate::leases::lease::{self, Outcome, Renewal};
use crate::names::HOLDER;
use crate::{AddOns, changed};

/// OCM's own period for such leases; up to a quarter more is its jitter.
const PERIOD: Duration = Duration::from_secs(60);

/// What says which add-ons are there and how they are. The picture of the hub stays while the hub is away.
pub struct Sources {
    pub picture: watch::Receiver<HubState>,
    pub add_ons: watch::Receiver<AddOns>,
    pub standings: watch::Receiver<Standings>,
}

/// An add-on's lease: name and namespace.
type Place = (String, String);

/// Works for good.
pub async fn follow(managed: Client, mut sources: Sources) {
    let mut due: BTreeMap<Place, Instant> = BTreeMap::new();
    let mut left: BTreeSet<Place> = BTreeSet::new();
    loop {
        let healthy = sources.healthy();
        for place in sources.removed(&left) {
            remove(&managed, &place).await;
            left.remove(&place);
        }
        due.retain(|place, _| healthy.contains(place));
        for place in healthy {
            let due = due.entry(place.clone()).or_insert_with(Instant::now);
            if *due <= Instant::now() {
                renew(&managed, &place).await;
                left.insert(place);
                *due = Instant::now() + at_least(PERIOD, fastrand::f64());
            }
        }
        let next = due.values().copied().fold(Instant::now() + IDLE, Instant::min);
        tokio::select! {
            () = changed(&mut sources.picture) => {}
            () = changed(&mut sources.add_ons) => {}
            () = changed(&mut sources.standings) => {}
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

impl Sources {
    /// Leases of what is being uninstalled, or is gone.
    fn removed(&self, left: &BTreeSet<Place>) -> Vec<Place> {
        let add_ons = self.add_ons.borrow();
        left.iter().filter(|(add_on, _)| is_removed(&add_ons, add_on)).cloned().collect()
    }

    fn healthy(&mut self) -> Vec<Place> {
        let picture = self.picture.borrow_and_update();
        let add_ons = self.add_ons.borrow_and_update();
        healthy(&picture, &add_ons, &self.standings.borrow_and_update())
    }
}

fn healthy(
    hub: &HubState,
    add_ons: &BTreeMap<String, Arc<ManagedAddOn>>,
    standings: &Standings,
) -> Vec<Place> {
    let stand_alone = hub
        .mcas
        .values()
        .filter(|mca| standings.get(mca.name()).is_some_and(Standing::is_stand_alone));
    let serving = stand_alone.filter(|mca| {
        let status = add_ons.get(mca.name()).and_then(|add_on| add_on.status.as_ref());
        status.is_some_and(serves)
    });
    serving.map(|mca| (mca.name().to_owned(), mca.lease_namespace().to_owned())).collect()
}

/// A version that once was Available serves, as far as is known.
fn serves(status: &ManagedAddOnStatus) -> bool {
    match status.phase {
        None | Some(Phase::Failed | Phase::Removing) => false,
        Some(_) if is_unwell(status) => false,
        Some(Phase::Available) => true,
        Some(
            Phase::Pending
            | Phase::Waiting
            | Phase::Pulling
            | Phase::Staging
            | Phase::Checking
            | Phase::Applying
            | Phase::Verifying
            | Phase::Pruning
            | Phase::Rejected
            | Phase::RollingBack
            | Phase::RolledBack,
        ) => status.current_version.is_some(),
    }
}

/// What runs was healthy and is not any more; that another version failed is told with other reasons.
fn is_unwell(status: &ManagedAddOnStatus) -> bool {
    status.conditions.iter().any(|condition| {
        condition.type_ == "Degraded"
            && condition.status == "True"
            && condition.reason == Reason::RunningUnhealthy.name()
    })
}

fn is_removed(add_ons: &BTreeMap<String, Arc<ManagedAddOn>>, add_on: &str) -> bool {
    let phase = |add_on: &Arc<ManagedAddOn>| add_on.status.as_ref().and_then(|status| status.phase);
    add_ons.get(add_on).is_none_or(|add_on| phase(add_on) == Some(Phase::Removing))
}

/// One that is somebody else's stays; one that could not be removed ends by itself, unrenewed.
async fn remove(managed: &Client, (add_on, namespace): &Place) {
    let leases = Api::namespaced(managed.clone(), namespace);
    match lease::remove(&leases, &lease(add_on, namespace, Timestamp::now())).await {
        Ok(()) => debug!(add_on, "health lease removed"),
        Err(error) => warn!(add_on, error = chain(&error), "cannot remove the health lease"),
    }
}

async fn renew(managed: &Client, (add_on, namespace): &Place) {
    let leases = Api::namespaced(managed.clone(), namespace);
    match put(&leases, lease(add_on, namespace, Timestamp::now())).await {
        Ok(Outcome::Written | Outcome::Unchanged) => debug!(add_on, "health lease renewed"),
        Ok(Outcome::Foreign) => debug!(add_on, "the add-on has a lease of its own, left alone"),
        Err(error) => {
            warn!(
                add_on,
                namespace,
                error = chain(&error),
                "cannot renew the health lease, will try again"
            );
        }
    }
}

async fn put(leases: &Api<Lease>, new: Lease) -> kube::Result<Outcome> {
    let name = new.metadata.name.as_deref().unwrap_or_default();
    let old = in_time(leases.get_opt(name)).await?;
    lease::write(leases, old.as_ref(), &new, Renewal::Always).await
}

/// Always with a time: the registration agent does not survive a lease without one.
fn lease(add_on: &str, namespace: &str, now: Timestamp) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some(add_on.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some([(label::ADD_ON.to_owned(), add_on.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            renew_time: Some(MicroTime(now)),
            holder_identity: Some(HOLDER.to_owned()),
            lease_duration_seconds: Some(60),
            ..LeaseSpec::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::{followed, mca, status};

    #[test]
    fn what_serves_is_renewed() {
        let table = [
            (json!({"phase": "Available", "currentVersion": "1.5.0"}), true),
            (json!({"phase": "Verifying", "currentVersion": "1.5.0"}), true),
            (json!({"phase": "RollingBack", "currentVersion": "1.5.0"}), true),
            (rolled_back("Unhealthy"), true),
            (json!({"phase": "Rejected", "currentVersion": "1.5.0"}), true),
            (rolled_back("RunningUnhealthy"), false),
            (
                json!({
                    "phase": "Available", "currentVersion": "1.5.0",
                    "conditions": [degraded("RunningUnhealthy")],
                }),
                false,
            ),
            (json!({"phase": "Failed", "currentVersion": "1.5.0"}), false),
            (json!({"phase": "Removing", "currentVersion": "1.5.0"}), false),
            (json!({"phase": "Verifying"}), false),
            (json!({"phase": "Rejected"}), false),
            (json!({}), false),
        ];
        for (told, expected) in table {
            assert_eq!(serves(&status(told.clone())), expected, "{told}");
        }
    }

    #[test]
    fn only_the_stand_alone_have_one_and_where_ocm_looks() {
        let places = |standing: Option<Standing>| {
            let standings = standing.map(|standing| ("metrics".to_owned(), standing));
            healthy(&hub(None), &available(), &standings.into_iter().collect())
        };
        let place = |namespace: &str| ("metrics".to_owned(), namespace.to_owned());
        let default = "open-cluster-management-agent-addon";
        assert_eq!(places(Some(Standing::Assigned)), [place(default)]);
        assert_eq!(places(Some(Standing::Fleet)), []);
        assert_eq!(places(None), []);
        let standings = Standings::from([("metrics".to_owned(), Standing::Unasked)]);
        let told = healthy(&hub(Some("elsewhere")), &available(), &standings);
        assert_eq!(told, [place("elsewhere")]);
    }

    #[test]
    fn what_is_uninstalled_keeps_no_lease() {
        let mut add_ons = available();
        assert!(!is_removed(&add_ons, "metrics"));
        assert!(is_removed(&add_ons, "logs"));
        let mut going = followed("metrics", "u1");
        going.status = Some(status(json!({"phase": "Removing"})));
        add_ons.insert("metrics".to_owned(), Arc::new(going));
        assert!(is_removed(&add_ons, "metrics"));
    }

    #[test]
    fn the_time_is_always_there() {
        let now = Timestamp::now();
        let lease = lease("metrics", "there", now);
        assert_eq!(lease.spec.unwrap().renew_time, Some(MicroTime(now)));
    }

    fn hub(namespace: Option<&str>) -> HubState {
        let mut mca = mca("metrics", "u1");
        mca.status = Some(crate::ocm::ManagedClusterAddOnStatus {
            namespace: namespace.map(str::to_owned),
            ..Default::default()
        });
        HubState::default().after(kube::runtime::watcher::Event::Apply(mca))
    }

    fn available() -> BTreeMap<String, Arc<ManagedAddOn>> {
        let mut add_on = followed("metrics", "u1");
        add_on.status = Some(status(json!({"phase": "Available", "currentVersion": "1.5.0"})));
        [("metrics".to_owned(), Arc::new(add_on))].into()
    }

    fn rolled_back(reason: &str) -> serde_json::Value {
        let conditions = [degraded(reason)];
        json!({"phase": "RolledBack", "currentVersion": "1.5.0", "conditions": conditions})
    }

    fn degraded(reason: &str) -> serde_json::Value {
        json!({
            "type": "Degraded", "status": "True", "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    }
}
