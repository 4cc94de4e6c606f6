//! One row a rule. What is kstatus' own case (`status_compute_test.go`) is named as there.

mod builtin;
mod daemon_set;
mod generic;
mod pods;
mod preexisting;
mod rules;
mod stuck_pods;
mod workload;

use serde_json::{Value, json};

use super::*;

pub(super) use super::HealthStatus::{Current, Failed, InProgress, NotFound, Terminating};

const MINUTE: Duration = Duration::from_secs(60);

/// As just applied, with nothing known around it.
fn check(what: &str, object: &Value, status: HealthStatus) -> Health {
    check_in(what, object, status, &HealthContext::default())
}

fn check_in(what: &str, object: &Value, status: HealthStatus, context: &HealthContext) -> Health {
    let health = assess_with(&Object(object.clone()), context);
    assert_eq!(health.status, status, "{what}: {:?} for {object}", health.message);
    health
}

fn after(since: Duration) -> HealthContext<'static> {
    HealthContext { since, ..HealthContext::default() }
}

fn at(time: &str) -> Option<Timestamp> {
    Some(time.parse().expect("a time"))
}

/// An object named `x`, generation 2.
fn object(api_version: &str, kind: &str, spec: Value, status: Value) -> Value {
    let metadata = json!({"name": "x", "namespace": "n", "generation": 2});
    json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec, "status": status})
}

/// The object with one more field, given by its pointer's parts.
fn with(object: &Value, path: [&str; 2], value: Value) -> Value {
    let mut changed = object.clone();
    changed[path[0]][path[1]] = value;
    changed
}

fn condition(kind: &str, status: &str) -> Value {
    json!({"conditions": [{"type": kind, "status": status, "message": "m"}]})
}

#[test]
fn the_first_failure_decides_for_all() {
    let object =
        Object(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}));
    let says = |healths: Vec<Health>| verdict(healths.into_iter().map(|health| (&object, health)));
    let (ok, wait, bad) = (Health::current(), Health::in_progress("w"), Health::failed("f"));
    assert_eq!(says(vec![]), Verdict::Healthy);
    assert_eq!(says(vec![ok.clone()]), Verdict::Healthy);
    assert_eq!(says(vec![Health::current_but("old pods")]), Verdict::Healthy);
    assert_eq!(says(vec![ok, wait.clone()]), Verdict::InProgress("ConfigMap b: w".into()));
    assert_eq!(
        says(vec![wait.clone(), wait.clone()]),
        Verdict::InProgress("ConfigMap b: w (and 1 more)".into())
    );
    assert_eq!(says(vec![wait, bad]), Verdict::Failed("ConfigMap b: f".into()));
}
