//! Rules for every kind, and kinds without a rule of their own.

use super::*;

fn backend(status: Value) -> Value {
    object("example.com/v1", "Backend", json!({}), status)
}

fn observed(name: &str, status: &str, generation: i64) -> Value {
    json!({"type": name, "status": status, "observedGeneration": generation, "message": "m"})
}

#[test]
fn the_conditions_of_a_custom_resource_decide() {
    for (case, status, wanted) in [
        ("a status without conditions", json!({"phase": "Broken"}), Current),
        ("Ready", condition("Ready", "True"), Current),
        ("not Ready", condition("Ready", "False"), InProgress),
        ("Ready is Unknown", condition("Ready", "Unknown"), InProgress),
        ("Reconciling", condition("Reconciling", "True"), InProgress),
        ("not Reconciling", condition("Reconciling", "False"), Current),
        ("Stalled", condition("Stalled", "True"), Failed),
        ("not Stalled", condition("Stalled", "False"), Current),
        ("observed", json!({"observedGeneration": 2}), Current),
        ("observed generation is above", json!({"observedGeneration": 3}), Current),
        ("not observed yet", json!({"observedGeneration": 1}), InProgress),
    ] {
        check(case, &backend(status), wanted);
    }
}

#[test]
fn a_controller_that_still_reconciles_has_not_failed() {
    let both = |first, second| json!({"conditions": [observed(first, "True", 2), observed(second, "True", 2)]});
    check("Stalled first", &backend(both("Stalled", "Reconciling")), InProgress);
    check("Reconciling first", &backend(both("Reconciling", "Stalled")), InProgress);
    check("Stalled and Ready", &backend(both("Ready", "Stalled")), Failed);
}

#[test]
fn a_condition_of_an_older_generation_does_not_count() {
    let only = |condition| backend(json!({"conditions": [condition]}));
    for (case, condition, soon, later) in [
        ("outdated Stalled", observed("Stalled", "True", 1), InProgress, Current),
        ("Stalled", observed("Stalled", "True", 2), Failed, Failed),
        ("outdated Reconciling", observed("Reconciling", "True", 1), InProgress, Current),
        ("outdated Ready", observed("Ready", "True", 1), InProgress, InProgress),
        ("outdated, not Ready", observed("Ready", "False", 1), InProgress, InProgress),
        ("Ready", observed("Ready", "True", 2), Current, Current),
    ] {
        check(case, &only(condition.clone()), soon);
        check_with(case, &only(condition), later, &after(MINUTE));
    }
}

#[test]
fn a_custom_resource_without_status_is_in_progress_for_the_grace_period() {
    let graces = Graces { no_status: MINUTE, ..Graces::default() };
    for (case, status) in [("null", json!(null)), ("empty", json!({}))] {
        let object = backend(status);
        check(case, &object, InProgress);
        check_with(case, &object, InProgress, &after(Duration::from_secs(29)));
        check_with(case, &object, Current, &after(Duration::from_secs(30)));
        let patient = HealthContext { graces, ..after(Duration::from_secs(30)) };
        check_with(case, &object, InProgress, &patient);
    }
}

#[test]
fn kinds_that_never_have_a_status_are_current_at_once() {
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
fn an_object_that_is_being_deleted_is_terminating() {
    let mut object = backend(condition("Ready", "True"));
    object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    check("deleted", &object, Terminating);
}

#[test]
fn the_generation_and_stalled_decide_for_built_in_kinds_too() {
    let job = |status| object("batch/v1", "CronJob", json!({}), status);
    check("not observed", &job(json!({"observedGeneration": 1})), InProgress);
    check("Stalled", &job(condition("Stalled", "True")), Failed);
}

#[test]
fn a_condition_without_a_message_is_reported_without_a_colon() {
    let message = |name: &str, status: &str| {
        let status = json!({"conditions": [{"type": name, "status": status}]});
        assess(&Object(object("example.com/v1", "Backend", json!({}), status)), MINUTE).message
    };
    assert_eq!(message("Ready", "False"), "is not ready");
    assert_eq!(message("Stalled", "True"), "is stalled");
    assert_eq!(message("Reconciling", "True"), "is reconciling");
}
