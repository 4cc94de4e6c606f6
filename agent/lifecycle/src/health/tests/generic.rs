//! What any object may tell, and kinds without a rule of their own.

use super::*;

fn backend(status: Value) -> Value {
    object("example.com/v1", "Backend", json!({}), status)
}

fn aged(kind: &str, status: &str, observed: i64) -> Value {
    json!({"type": kind, "status": status, "observedGeneration": observed, "message": "m"})
}

#[test]
fn a_custom_resource_is_what_its_conditions_say() {
    for (what, status, wanted) in [
        ("a status without conditions", json!({"phase": "Broken"}), Current),
        ("Ready", condition("Ready", "True"), Current),
        ("not Ready", condition("Ready", "False"), InProgress),
        ("Ready is Unknown", condition("Ready", "Unknown"), InProgress),
        ("Reconciling", condition("Reconciling", "True"), InProgress),
        ("not Reconciling", condition("Reconciling", "False"), Current),
        ("Stalled", condition("Stalled", "True"), Failed),
        ("not Stalled", condition("Stalled", "False"), Current),
        ("observed", json!({"observedGeneration": 2}), Current),
        ("observed later than it is", json!({"observedGeneration": 3}), Current),
        ("not observed yet", json!({"observedGeneration": 1}), InProgress),
    ] {
        check(what, &backend(status), wanted);
    }
}

#[test]
fn whoever_still_works_has_not_failed() {
    let both =
        |first, second| json!({"conditions": [aged(first, "True", 2), aged(second, "True", 2)]});
    check("Stalled first", &backend(both("Stalled", "Reconciling")), InProgress);
    check("Reconciling first", &backend(both("Reconciling", "Stalled")), InProgress);
    check("Stalled and Ready", &backend(both("Ready", "Stalled")), Failed);
}

#[test]
fn a_condition_of_an_older_generation_does_not_count() {
    let only = |condition| backend(json!({"conditions": [condition]}));
    for (what, condition, soon, later) in [
        ("Stalled before", aged("Stalled", "True", 1), InProgress, Current),
        ("Stalled", aged("Stalled", "True", 2), Failed, Failed),
        ("Reconciling before", aged("Reconciling", "True", 1), InProgress, Current),
        ("Ready before", aged("Ready", "True", 1), InProgress, InProgress),
        ("not Ready before", aged("Ready", "False", 1), InProgress, InProgress),
        ("Ready", aged("Ready", "True", 2), Current, Current),
    ] {
        check(what, &only(condition.clone()), soon);
        check_in(what, &only(condition), later, &after(MINUTE));
    }
}

#[test]
fn a_custom_resource_without_status_is_awaited_for_a_while() {
    let graces = Graces { status: MINUTE, ..Graces::default() };
    for (what, status) in [("null", json!(null)), ("empty", json!({}))] {
        let silent = backend(status);
        check(what, &silent, InProgress);
        check_in(what, &silent, InProgress, &after(Duration::from_secs(29)));
        check_in(what, &silent, Current, &after(Duration::from_secs(30)));
        let patient = HealthContext { graces, ..after(Duration::from_secs(30)) };
        check_in(what, &silent, InProgress, &patient);
    }
}

#[test]
fn kinds_that_never_have_a_status_are_not_awaited() {
    for (api_version, kind) in [
        ("v1", "ConfigMap"),
        ("v1", "Secret"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ] {
        check(kind, &object(api_version, kind, json!({}), json!(null)), Current);
    }
}

#[test]
fn what_is_being_deleted_is_terminating() {
    let mut leaving = backend(condition("Ready", "True"));
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    check("deleted", &leaving, Terminating);
}

#[test]
fn the_generation_and_stalled_decide_for_built_in_kinds_too() {
    let job = |status| object("batch/v1", "CronJob", json!({}), status);
    check("not observed", &job(json!({"observedGeneration": 1})), InProgress);
    check("Stalled", &job(condition("Stalled", "True")), Failed);
}

#[test]
fn what_gives_no_reason_is_told_without_a_bare_colon() {
    let says = |kind: &str, status: &str| {
        let status = json!({"conditions": [{"type": kind, "status": status}]});
        assess(&Object(object("example.com/v1", "Backend", json!({}), status)), MINUTE).message
    };
    assert_eq!(says("Ready", "False"), "is not ready");
    assert_eq!(says("Stalled", "True"), "is stalled");
    assert_eq!(says("Reconciling", "True"), "is reconciling");
}
