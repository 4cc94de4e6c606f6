//! The status lease: the Lease on the hub that holds a report. Pure.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use kube::Resource;
use lifecycle::ManagedAddOnStatus;
use lifecycle::names::{annotation, label};

use crate::names::LEASE_HOLDER;
use crate::ocm::ManagedClusterAddOn;
use crate::reports::report::Report;

/// Returns the lease of a report. `now` is the time of the report; all other times are those of the events themselves.
pub fn status_lease(report: &Report, namespace: &str, now: Timestamp) -> Lease {
    let status = serde_json::to_string(&report.status).unwrap_or_default();
    Lease {
        metadata: ObjectMeta {
            name: Some(report.add_on.clone()),
            namespace: Some(namespace.to_owned()),
            labels: Some([(label::ADD_ON.to_owned(), report.add_on.clone())].into()),
            annotations: Some([(annotation::STATUS.to_owned(), status)].into()),
            owner_references: Some(vec![owner(report)]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            acquire_time: report.status.started_time.as_ref().map(|time| MicroTime(time.0)),
            renew_time: Some(MicroTime(now)),
            holder_identity: Some(LEASE_HOLDER.to_owned()),
            lease_transitions: Some(report.transitions),
            ..LeaseSpec::default()
        }),
    }
}

/// Returns a rejection with the times in the lease, if the lease holds the same rejection. So the times survive a restart
/// of the agent. Any other report is returned as it is.
pub fn with_reported_times(mut report: Report, lease: Option<&Lease>) -> Report {
    let reported = lease.and_then(reported_status).filter(|_| report.is_rejection);
    let Some(reported) = reported else { return report };
    let times = (reported.started_time.clone(), reported.completion_time.clone());
    if without_times(reported) == without_times(report.status.clone()) {
        (report.status.started_time, report.status.completion_time) = times;
    }
    report
}

fn owner(report: &Report) -> OwnerReference {
    OwnerReference {
        api_version: ManagedClusterAddOn::api_version(&()).into_owned(),
        kind: ManagedClusterAddOn::kind(&()).into_owned(),
        name: report.add_on.clone(),
        uid: report.mca_uid.clone(),
        ..OwnerReference::default()
    }
}

fn reported_status(lease: &Lease) -> Option<ManagedAddOnStatus> {
    let status = lease.metadata.annotations.as_ref()?.get(annotation::STATUS)?;
    serde_json::from_str(status).ok()
}

fn without_times(status: ManagedAddOnStatus) -> ManagedAddOnStatus {
    ManagedAddOnStatus { started_time: None, completion_time: None, ..status }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::assignments::outcome::AssignmentOutcome;
    use crate::fixtures::{at, followed, mca, rejection, status, upgraded};
    use crate::reports::report::report;

    #[test]
    fn the_lease_holds_the_status_with_the_times_on_the_cluster() {
        let report = report_on(upgraded(), None).unwrap();
        let lease = status_lease(&report, "edge-1", at("2026-01-02T00:00:00Z"));
        let lease = serde_json::to_value(lease).unwrap();
        let mut status = upgraded();
        status["history"].as_array_mut().unwrap().truncate(2);
        for unreported in ["observedGeneration", "conditions", "rollout"] {
            status.as_object_mut().unwrap().remove(unreported);
        }
        let annotation = lease["metadata"]["annotations"][annotation::STATUS].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(annotation).unwrap(), status);
        assert_eq!(lease["metadata"]["labels"], json!({label::ADD_ON: "metrics"}));
        assert_eq!(
            lease["metadata"]["ownerReferences"],
            json!([{
                "apiVersion": "addon.open-cluster-management.io/v1alpha1",
                "kind": "ManagedClusterAddOn",
                "name": "metrics",
                "uid": "u1",
            }])
        );
        assert_eq!(
            lease["spec"],
            json!({
                "acquireTime": "2026-01-01T10:00:00.000000Z",
                "renewTime": "2026-01-02T00:00:00.000000Z",
                "holderIdentity": "addon-lifecycle-agent",
                "leaseTransitions": 2,
            })
        );
    }

    #[test]
    fn a_rejection_that_was_reported_before_a_restart_keeps_its_times() {
        let first = report_on(upgraded(), Some(&rejection("1.4.0"))).unwrap();
        let lease = status_lease(&first, "edge-1", at("2026-01-03T00:00:01Z"));
        let mut again = first.clone();
        again.status.started_time = Some(at("2026-01-04T00:00:00Z").into());
        assert_eq!(with_reported_times(again.clone(), Some(&lease)), first);
        assert_eq!(with_reported_times(again.clone(), None), again);
        let mut other = again.clone();
        other.status.message = Some("another".to_owned());
        assert_eq!(with_reported_times(other.clone(), Some(&lease)), other);
    }

    fn report_on(saved: Value, outcome: Option<&AssignmentOutcome>) -> Option<Report> {
        let mut add_on = followed("metrics", "u1");
        add_on.status = Some(status(saved));
        report(&mca("metrics", "u1"), Some(&add_on), outcome)
    }
}
