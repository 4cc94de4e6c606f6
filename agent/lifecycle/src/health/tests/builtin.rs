//! Kinds of Kubernetes whose health is one field or condition.

use super::*;

#[test]
fn each_builtin_kind_has_its_rule() {
    let job = ("batch/v1", "Job");
    let claim = ("v1", "PersistentVolumeClaim");
    let volume = ("v1", "PersistentVolume");
    let budget = ("policy/v1", "PodDisruptionBudget");
    let definition = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
    let service = ("apiregistration.k8s.io/v1", "APIService");
    let started = json!({"startTime": "2026-01-01T00:00:00Z"});
    let not_established = |reason: &str| json!({"conditions": [{"type": "Established", "status": "False", "reason": reason}]});
    for (case, (api_version, kind), status, wanted) in [
        ("jobNoStatus", job, json!({}), InProgress),
        ("jobInProgress", job, started, Current),
        ("jobComplete", job, condition("Complete", "True"), Current),
        ("jobFailed", job, condition("Failed", "True"), Failed),
        ("jobSuspended", job, condition("Suspended", "True"), Current),
        ("cronjobNoStatus", ("batch/v1", "CronJob"), json!({}), Current),
        ("pvcNoStatus", claim, json!({}), InProgress),
        ("pending", claim, json!({"phase": "Pending"}), InProgress),
        ("lost", claim, json!({"phase": "Lost"}), InProgress),
        ("pvcBound", claim, json!({"phase": "Bound"}), Current),
        ("no volume yet", volume, json!({}), Current),
        ("a volume that is bound", volume, json!({"phase": "Bound"}), Current),
        ("a volume that could not be reclaimed", volume, json!({"phase": "Failed"}), Failed),
        ("pdbOK1", budget, json!({"observedGeneration": 2}), Current),
        ("pdbDifferentGeneration", budget, json!({"observedGeneration": 1}), InProgress),
        ("no pods yet", budget, json!({"currentHealthy": 0, "desiredHealthy": 1}), Current),
        ("crdNoStatus", definition, json!({}), InProgress),
        ("crdEstablished", definition, condition("Established", "True"), Current),
        ("crdInstalling", definition, not_established("Installing"), InProgress),
        ("crdNotEstablished", definition, not_established("Other"), Failed),
        ("crdNamesNotAccepted", definition, condition("NamesAccepted", "False"), Failed),
        ("no status", service, json!({}), InProgress),
        ("unavailable", service, condition("Available", "False"), InProgress),
        ("available", service, condition("Available", "True"), Current),
    ] {
        check(case, &object(api_version, kind, json!({}), status), wanted);
    }
}

#[test]
fn a_service_is_current_when_it_has_its_cluster_ip() {
    for (case, spec, wanted) in [
        ("serviceDefaultOK", json!({}), Current),
        ("serviceNodePortOK", json!({"type": "NodePort"}), Current),
        ("serviceLBNotOK", json!({"type": "LoadBalancer"}), InProgress),
        ("serviceLBOK", json!({"type": "LoadBalancer", "clusterIP": "1.2.3.4"}), Current),
    ] {
        check(case, &object("v1", "Service", spec, json!({})), wanted);
    }
}

#[test]
fn a_complete_job_stays_current_when_it_is_applied_again() {
    let done = object("batch/v1", "Job", json!({}), condition("Complete", "True"));
    check("just applied", &done, Current);
    check_with("much later", &done, Current, &after(MINUTE * 60));
}

#[test]
fn a_job_that_deletes_itself_is_current() {
    let status =
        |spec| assess_absent(&Object(object("batch/v1", "Job", spec, json!(null))), &[]).status;
    assert_eq!(status(json!({"ttlSecondsAfterFinished": 0})), Current);
    assert_eq!(status(json!({})), NotFound);
    let other = object("v1", "ConfigMap", json!({"ttlSecondsAfterFinished": 0}), json!(null));
    assert_eq!(assess_absent(&Object(other), &[]).status, NotFound);
    let ran = Object(object("batch/v1", "Job", json!({}), json!(null)));
    assert_eq!(
        assess_absent(&ran, std::slice::from_ref(&ran)).status,
        Current,
        "the previous version ran it"
    );
}
