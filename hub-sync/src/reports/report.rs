//! What the hub is told of one add-on. Pure: made of a `ManagedAddOn` as saved, never of what a task remembers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use kube::Resource;
use lifecycle::names::{annotation, label};
use lifecycle::spec::version_range::is_older;
use lifecycle::{ManagedAddOn, ManagedAddOnStatus, OperationKind, OperationResult, Phase};
use semver::Version;

use crate::AddOns;
use crate::assignments::outcome::{Refusal, Standing, Standings};
use crate::hub_state::HubState;
use crate::names::HOLDER;
use crate::ocm::ManagedClusterAddOn;

/// So many of the newest operations are told.
const HISTORY: usize = 2;

#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub add_on: String,
    /// UID of the `ManagedClusterAddOn` that is told.
    pub mca_uid: String,
    pub phase: Phase,
    /// What is told: from `phase` to `message`, and the newest history.
    pub status: ManagedAddOnStatus,
    /// Versions that became Available here, ever.
    pub transitions: i32,
    pub stand_alone: bool,
    /// What the `ManagedAddOn` itself says of it, in its condition `Degraded`.
    pub degraded: Option<Degraded>,
    /// It tells of an assignment that never became a `ManagedAddOn`.
    pub refused: bool,
}

/// What was asked is not there, though something was changed for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Degraded {
    pub reason: String,
    pub message: String,
}

/// One for each `ManagedClusterAddOn` of which there is something to tell.
pub fn all(hub: &HubState, add_ons: &AddOns, standings: &Standings) -> BTreeMap<String, Report> {
    let told = hub.mcas.iter().filter_map(|(name, mca)| {
        let add_on = add_ons.get(name).map(AsRef::as_ref);
        Some((name.clone(), report(mca, add_on, standings.get(name))?))
    });
    told.collect()
}

pub fn report(
    mca: &ManagedClusterAddOn,
    add_on: Option<&ManagedAddOn>,
    standing: Option<&Standing>,
) -> Option<Report> {
    let saved = add_on.and_then(|add_on| add_on.status.clone()).unwrap_or_default();
    let transitions = saved.rollout.as_ref().and_then(|rollout| rollout["transitions"].as_i64());
    let degraded = degraded(&saved);
    let refusal = standing.and_then(Standing::refusal);
    let status = match refusal {
        Some(refusal) => refused(saved, refusal),
        None => saved,
    };
    Some(Report {
        add_on: mca.name().to_owned(),
        mca_uid: mca.uid().to_owned(),
        phase: status.phase?,
        status: trimmed(status),
        transitions: transitions.and_then(|count| i32::try_from(count).ok()).unwrap_or_default(),
        stand_alone: standing.is_some_and(Standing::is_stand_alone),
        degraded,
        refused: refusal.is_some(),
    })
}

fn degraded(saved: &ManagedAddOnStatus) -> Option<Degraded> {
    let condition = saved.conditions.iter().find(|condition| condition.type_ == "Degraded")?;
    (condition.status == "True")
        .then(|| Degraded { reason: condition.reason.clone(), message: condition.message.clone() })
}

/// As a `ManagedAddOn` would say it that was refused before the first write.
fn refused(saved: ManagedAddOnStatus, refusal: &Refusal) -> ManagedAddOnStatus {
    let since = Some(refusal.since.into());
    ManagedAddOnStatus {
        phase: Some(Phase::Rejected),
        operation: Some(asked(saved.current_version.as_deref(), refusal.version.as_deref())),
        result: Some(OperationResult::Failed),
        desired_version: refusal.version.clone(),
        started_time: since.clone(),
        completion_time: since,
        reason: Some(refusal.fault.reason.name().to_owned()),
        message: Some(refusal.fault.message.clone()),
        ..saved
    }
}

fn asked(current: Option<&str>, desired: Option<&str>) -> OperationKind {
    let read = |version: &str| Version::parse(version).ok();
    let Some(current) = current else { return OperationKind::Install };
    match (read(current), desired.and_then(read)) {
        (Some(current), Some(desired)) if is_older(&desired, &current) => OperationKind::Rollback,
        _ => OperationKind::Upgrade,
    }
}

/// Only what is told, so that a change of anything else is no change.
fn trimmed(status: ManagedAddOnStatus) -> ManagedAddOnStatus {
    ManagedAddOnStatus {
        observed_generation: None,
        conditions: Vec::new(),
        history: status.history.into_iter().take(HISTORY).collect(),
        rollout: None,
        ..status
    }
}

impl Report {
    /// The status lease; `now` is the time of the report, all other times are those at which things happened.
    pub fn lease(&self, namespace: &str, now: Timestamp) -> Lease {
        let status = serde_json::to_string(&self.status).unwrap_or_default();
        Lease {
            metadata: ObjectMeta {
                name: Some(self.add_on.clone()),
                namespace: Some(namespace.to_owned()),
                labels: Some([(label::ADD_ON.to_owned(), self.add_on.clone())].into()),
                annotations: Some([(annotation::STATUS.to_owned(), status)].into()),
                owner_references: Some(vec![self.owner()]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                acquire_time: self.status.started_time.as_ref().map(|time| MicroTime(time.0)),
                renew_time: Some(MicroTime(now)),
                holder_identity: Some(HOLDER.to_owned()),
                lease_transitions: Some(self.transitions),
                ..LeaseSpec::default()
            }),
        }
    }

    fn owner(&self) -> OwnerReference {
        OwnerReference {
            api_version: ManagedClusterAddOn::api_version(&()).into_owned(),
            kind: ManagedClusterAddOn::kind(&()).into_owned(),
            name: self.add_on.clone(),
            uid: self.mca_uid.clone(),
            ..OwnerReference::default()
        }
    }

    /// A refusal that the hub knows already began when it was told first, though the agent was restarted since.
    pub fn since(mut self, told: Option<&Lease>) -> Self {
        let Some(told) = told.and_then(told_status).filter(|_| self.refused) else { return self };
        let (started, completed) = (told.started_time.clone(), told.completion_time.clone());
        let timeless = |status: ManagedAddOnStatus| ManagedAddOnStatus {
            started_time: None,
            completion_time: None,
            ..status
        };
        if timeless(told) == timeless(self.status.clone()) {
            self.status.started_time = started;
            self.status.completion_time = completed;
        }
        self
    }

    /// When the newest change happened.
    pub fn happened(&self) -> Option<Timestamp> {
        let ended = self.status.completion_time.as_ref();
        ended.or(self.status.started_time.as_ref()).map(|time| time.0)
    }

    /// Only its words for a person are others.
    pub fn differs_in_message_only(&self, other: &Report) -> bool {
        let silent = |report: &Report| {
            let mut report = report.clone();
            report.status.message = None;
            report.degraded.iter_mut().for_each(|degraded| degraded.message.clear());
            report
        };
        self.status.message != other.status.message && silent(self) == silent(other)
    }
}

fn told_status(lease: &Lease) -> Option<ManagedAddOnStatus> {
    let status = lease.metadata.annotations.as_ref()?.get(annotation::STATUS)?;
    serde_json::from_str(status).ok()
}

#[cfg(test)]
mod tests {
    use lifecycle::{Fault, Reason};
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::{followed, mca, status};

    #[test]
    fn the_lease_tells_the_status_with_its_own_times() {
        let told = told(upgraded(), None).unwrap();
        let lease = serde_json::to_value(told.lease("edge-1", at("2026-01-02T00:00:00Z"))).unwrap();
        let mut status = upgraded();
        status["history"].as_array_mut().unwrap().truncate(2);
        for hidden in ["observedGeneration", "conditions", "rollout"] {
            status.as_object_mut().unwrap().remove(hidden);
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
    fn what_is_not_told_makes_no_difference() {
        let mut later = upgraded();
        later["observedGeneration"] = json!(9);
        later["rollout"]["spent"] = json!(1);
        later["history"].as_array_mut().unwrap().pop();
        assert_eq!(told(upgraded(), None), told(later.clone(), None));
        later["message"] = json!("other words");
        let (before, after) = (told(upgraded(), None).unwrap(), told(later.clone(), None).unwrap());
        assert!(before.differs_in_message_only(&after));
        later["phase"] = json!("Verifying");
        assert!(!before.differs_in_message_only(&told(later, None).unwrap()));
        assert!(!before.differs_in_message_only(&before));
    }

    #[test]
    fn nothing_is_told_before_there_is_something() {
        assert_eq!(told(json!({}), None), None);
        assert_eq!(report(&mca("metrics", "u1"), None, Some(&Standing::Assigned)), None);
    }

    #[test]
    fn a_refusal_is_told_over_what_runs() {
        let told = told(upgraded(), Some(&refusal("1.4.0"))).unwrap();
        let status = serde_json::to_value(&told.status).unwrap();
        assert_eq!(
            [&status["phase"], &status["operation"], &status["result"], &status["reason"]],
            ["Rejected", "Rollback", "Failed", "UnknownTemplate"]
        );
        assert_eq!([&status["currentVersion"], &status["desiredVersion"]], ["1.5.0", "1.4.0"]);
        assert_eq!(status["startedTime"], "2026-01-03T00:00:00Z");
        assert_eq!((told.transitions, told.stand_alone), (2, true));
    }

    #[test]
    fn a_refusal_without_anything_running_is_a_failed_install() {
        let told = report(&mca("metrics", "u1"), None, Some(&refusal("1.4.0"))).unwrap();
        assert_eq!(told.phase, Phase::Rejected);
        assert_eq!(told.status.operation, Some(OperationKind::Install));
        assert_eq!(told.status.current_version, None);
    }

    #[test]
    fn a_refusal_told_before_a_restart_keeps_its_times() {
        let old = told(upgraded(), Some(&refusal("1.4.0"))).unwrap();
        let lease = old.lease("edge-1", at("2026-01-03T00:00:01Z"));
        let mut again = old.clone();
        again.status.started_time = Some(at("2026-01-04T00:00:00Z").into());
        assert_eq!(again.clone().since(Some(&lease)), old);
        assert_eq!(again.clone().since(None), again);
        let mut other = again.clone();
        other.status.message = Some("another".to_owned());
        assert_eq!(other.clone().since(Some(&lease)), other);
    }

    #[test]
    fn only_the_stand_alone_are_stand_alone() {
        let stand_alone = |standing| told(upgraded(), standing).unwrap().stand_alone;
        assert!(stand_alone(Some(&Standing::Assigned)));
        assert!(!stand_alone(Some(&Standing::Fleet)));
        assert!(!stand_alone(None));
    }

    fn told(saved: Value, standing: Option<&Standing>) -> Option<Report> {
        let mut add_on = followed("metrics", "u1");
        add_on.status = Some(status(saved));
        report(&mca("metrics", "u1"), Some(&add_on), standing)
    }

    fn refusal(version: &str) -> Standing {
        Standing::Refused(Refusal {
            fault: Fault::new(Reason::UnknownTemplate, "no such template"),
            version: Some(version.to_owned()),
            since: at("2026-01-03T00:00:00Z"),
        })
    }

    fn upgraded() -> Value {
        let entry = |sequence: u64, version: &str| {
            json!({
                "sequence": sequence, "version": version, "operation": "Upgrade", "result": "Succeeded",
                "startedTime": "2026-01-01T10:00:00Z", "reason": "UpgradeSucceeded", "verified": true,
            })
        };
        json!({
            "observedGeneration": 3, "phase": "Available", "operation": "Upgrade", "result": "Succeeded",
            "currentVersion": "1.5.0", "desiredVersion": "1.5.0", "previousVersion": "1.4.0",
            "startedTime": "2026-01-01T10:00:00Z", "completionTime": "2026-01-01T10:01:00Z",
            "reason": "UpgradeSucceeded", "message": "1.5.0 runs",
            "history": [entry(3, "1.5.0"), entry(2, "1.4.0"), entry(1, "1.3.0")],
            "rollout": {"format": 1, "transitions": 2},
        })
    }

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }
}
