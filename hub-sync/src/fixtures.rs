//! Objects for tests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lifecycle::names::{annotation, label};
use lifecycle::{Fault, ManagedAddOn, ManagedAddOnStatus, Reason};
use serde_json::{Value, json};

use crate::assignments::outcome::{AssignmentOutcome, Rejection};
use crate::names::WRITER;
use crate::ocm::{AddOnTemplate, ManagedClusterAddOn};

/// A stand-alone `ManagedClusterAddOn` that refers to the template `metrics-1.5.0`.
pub fn mca(name: &str, uid: &str) -> ManagedClusterAddOn {
    parse(json!({
        "apiVersion": "addon.open-cluster-management.io/v1alpha1",
        "kind": "ManagedClusterAddOn",
        "metadata": {"name": name, "namespace": "edge-1", "uid": uid, "generation": 1, "resourceVersion": "7"},
        "spec": {"configs": [{
            "group": "addon.open-cluster-management.io",
            "resource": "addontemplates",
            "name": "metrics-1.5.0",
        }]},
    }))
}

/// A template for the add-on `metrics`.
pub fn template(name: &str, manifests: impl Into<Vec<Value>>) -> AddOnTemplate {
    parse(json!({
        "apiVersion": "addon.open-cluster-management.io/v1alpha1",
        "kind": "AddOnTemplate",
        "metadata": {"name": name},
        "spec": {"addonName": "metrics", "agentSpec": {"workload": {"manifests": manifests.into()}}},
    }))
}

/// The manifest of a `ManagedAddOn`.
pub fn managed_add_on(name: &str, version: &str) -> Value {
    json!({
        "apiVersion": "lifecycle.open-cluster-management.io/v1alpha1",
        "kind": "ManagedAddOn",
        "metadata": {"name": name},
        "spec": {
            "version": version,
            "source": {"http": {"url": "https://example.com/metrics.yaml", "sha256": "00"}},
        },
    })
}

/// The manifest of a ConfigMap.
pub fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v"}})
}

/// A `ManagedAddOn` that hub-sync wrote for the `ManagedClusterAddOn` of this UID.
pub fn followed(name: &str, mca_uid: &str) -> ManagedAddOn {
    let mut add_on = local(name);
    add_on.metadata.labels = Some(BTreeMap::from([(label::WRITTEN_BY.into(), WRITER.into())]));
    add_on.metadata.annotations = Some(BTreeMap::from([
        (annotation::MCA_UID.into(), mca_uid.into()),
        (annotation::TEMPLATE.into(), "metrics-1.5.0".into()),
    ]));
    add_on
}

/// A `ManagedAddOn` that was applied by hand.
pub fn local(name: &str) -> ManagedAddOn {
    let mut add_on: ManagedAddOn = parse(managed_add_on(name, "1.5.0"));
    add_on.metadata.uid = Some(format!("{name}-uid"));
    add_on.metadata.generation = Some(1);
    add_on
}

/// A status from its JSON.
pub fn status(json: Value) -> ManagedAddOnStatus {
    parse(json)
}

/// The rejection of a version whose template is missing.
pub fn rejection(version: &str) -> AssignmentOutcome {
    AssignmentOutcome::Rejected(Rejection {
        fault: Fault::new(Reason::UnknownTemplate, "no such template"),
        version: Some(version.to_owned()),
        since: at("2026-01-03T00:00:00Z"),
    })
}

/// The status after an upgrade from 1.4.0 to 1.5.0.
pub fn upgraded() -> Value {
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

/// A time.
pub fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}
