//! The health leases, by which OCM's registration agent sees that a stand-alone add-on is available. Pure.
//!
//! A health lease shows whether the add-on works, not whether its newest version is in place. So it is renewed during a
//! rollout over a version that works: OCM waits five minutes, a rollout may take fifteen, and a cluster whose add-on turns
//! unavailable in every upgrade drops out of placements that select on it. Renewal ends when a rollout or a rollback
//! failed for good, when the current version became unhealthy, and on removal. Before the first version it has not begun.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use lifecycle::names::label;
use lifecycle::{ManagedAddOn, ManagedAddOnStatus, Phase, Reason};

use crate::assignments::outcome::{AssignmentOutcome, Outcomes};
use crate::channels::AddOns;
use crate::hub_state::HubState;
use crate::leases::liveness;

/// Seconds that the lease is valid after a renewal, as in the leases of OCM's own add-ons.
const DURATION_SECONDS: i32 = 60;

/// Add-on and namespace of a health lease.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HealthLease {
    /// Name of the add-on and of the lease.
    pub add_on: String,
    pub namespace: String,
}

impl HealthLease {
    /// Returns the Lease, renewed at `now`. OCM's registration agent crashes on a lease without that time.
    pub fn renewed(&self, now: Timestamp) -> Lease {
        let Self { add_on, namespace } = self;
        liveness::renewed(add_on, namespace, label::ADD_ON, DURATION_SECONDS, now)
    }
}

/// Returns the leases that are to be renewed: those of stand-alone add-ons that work.
pub fn working(hub_state: &HubState, add_ons: &AddOns, outcomes: &Outcomes) -> Vec<HealthLease> {
    let is_stand_alone =
        |name: &str| outcomes.get(name).is_some_and(AssignmentOutcome::is_stand_alone);
    let is_working = |name: &str| {
        let status = add_ons.get(name).and_then(|add_on| add_on.status.as_ref());
        status.is_some_and(is_working)
    };
    let mcas = hub_state.mcas.values();
    let working = mcas.filter(|mca| is_stand_alone(mca.name()) && is_working(mca.name()));
    working
        .map(|mca| HealthLease {
            add_on: mca.name().to_owned(),
            namespace: mca.lease_namespace().to_owned(),
        })
        .collect()
}

/// Returns whether an add-on is being uninstalled or is gone.
pub fn is_removed(add_ons: &AddOns, add_on: &str) -> bool {
    let is_removing = |add_on: &ManagedAddOn| {
        let status = add_on.status.as_ref();
        status.is_some_and(|status| status.phase == Some(Phase::Removing))
    };
    add_ons.get(add_on).is_none_or(|add_on| is_removing(add_on))
}

/// A version that was available once works, as far as is known.
fn is_working(status: &ManagedAddOnStatus) -> bool {
    match status.phase {
        None | Some(Phase::Failed | Phase::Removing) => false,
        Some(_) if is_unhealthy(status) => false,
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

/// The release at rest is unhealthy. `Degraded` has other reasons where another version failed.
fn is_unhealthy(status: &ManagedAddOnStatus) -> bool {
    status.conditions.iter().any(|condition| {
        condition.type_ == "Degraded"
            && condition.status == "True"
            && condition.reason == Reason::RunningUnhealthy.name()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
    use serde_json::json;

    use super::*;
    use crate::fixtures::{followed, mca, status};

    #[test]
    fn the_lease_of_an_add_on_that_works_is_renewed() {
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
        for (saved, expected) in table {
            assert_eq!(is_working(&status(saved.clone())), expected, "{saved}");
        }
    }

    #[test]
    fn only_a_stand_alone_add_on_has_a_lease_in_the_namespace_that_ocm_reads() {
        let leases = |outcome: Option<AssignmentOutcome>| {
            let outcomes = outcome.map(|outcome| ("metrics".to_owned(), outcome));
            working(&hub_state(None), &available(), &outcomes.into_iter().collect())
        };
        let default = "open-cluster-management-agent-addon";
        assert_eq!(leases(Some(AssignmentOutcome::Assigned)), [lease(default)]);
        assert_eq!(leases(Some(AssignmentOutcome::Fleet)), []);
        assert_eq!(leases(None), []);
        let outcomes = Outcomes::from([("metrics".to_owned(), AssignmentOutcome::NoTemplate)]);
        let leases = working(&hub_state(Some("elsewhere")), &available(), &outcomes);
        assert_eq!(leases, [lease("elsewhere")]);
    }

    #[test]
    fn an_add_on_that_is_being_uninstalled_or_is_gone_is_removed() {
        let add_ons = available();
        assert!(!is_removed(&add_ons, "metrics"));
        assert!(is_removed(&add_ons, "logs"));
        assert!(is_removed(&add_ons_with(json!({"phase": "Removing"})), "metrics"));
    }

    #[test]
    fn a_lease_always_has_a_renew_time() {
        let now = Timestamp::now();
        let lease = lease("somewhere").renewed(now);
        assert_eq!(lease.spec.unwrap().renew_time, Some(MicroTime(now)));
    }

    fn lease(namespace: &str) -> HealthLease {
        HealthLease { add_on: "metrics".to_owned(), namespace: namespace.to_owned() }
    }

    fn hub_state(namespace: Option<&str>) -> HubState {
        let mut mca = mca("metrics", "u1");
        mca.status = Some(crate::ocm::ManagedClusterAddOnStatus {
            namespace: namespace.map(str::to_owned),
            ..Default::default()
        });
        HubState::default().after(kube::runtime::watcher::Event::Apply(mca))
    }

    fn available() -> AddOns {
        add_ons_with(json!({"phase": "Available", "currentVersion": "1.5.0"}))
    }

    fn add_ons_with(saved: serde_json::Value) -> AddOns {
        let mut add_on = followed("metrics", "u1");
        add_on.status = Some(status(saved));
        Arc::new(BTreeMap::from([("metrics".to_owned(), Arc::new(add_on))]))
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
