//! One row per rule. Cases of kstatus (`status_compute_test.go`) have kstatus' names.

mod builtin;
mod daemon_set;
mod generic;
mod hooks;
mod pods;
mod preexisting;
mod rules;
mod stuck_pods;
mod verdict;
mod workload;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::object::Object;

pub(super) use super::HealthStatus::{Current, Failed, InProgress, NotFound, Terminating};

const MINUTE: Duration = Duration::from_secs(60);

/// Checks an object that was just applied, of which nothing else is known.
fn check(case: &str, object: &Value, status: HealthStatus) -> Health {
    check_with(case, object, status, &HealthContext::default())
}

fn check_with(case: &str, object: &Value, status: HealthStatus, context: &HealthContext) -> Health {
    let health = assess_with(&Object(object.clone()), context);
    assert_eq!(health.status, status, "{case}: {:?} for {object}", health.message);
    health
}

fn after(since_apply: Duration) -> HealthContext<'static> {
    HealthContext { since_apply, ..HealthContext::default() }
}

fn time(text: &str) -> Option<Timestamp> {
    Some(text.parse().expect("a time"))
}

/// An object named `x`, generation 2.
fn object(api_version: &str, kind: &str, spec: Value, status: Value) -> Value {
    let metadata = json!({"name": "x", "namespace": "n", "generation": 2});
    json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec, "status": status})
}

/// The object with one more field, given by the parts of its pointer.
fn with(object: &Value, path: [&str; 2], value: Value) -> Value {
    let mut changed = object.clone();
    changed[path[0]][path[1]] = value;
    changed
}

fn condition(name: &str, status: &str) -> Value {
    json!({"conditions": [{"type": name, "status": status, "message": "m"}]})
}
