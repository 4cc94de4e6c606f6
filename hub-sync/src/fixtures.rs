//! Words for tests.

use std::collections::BTreeMap;

use lifecycle::names::{annotation, label};
use lifecycle::{ManagedAddOn, ManagedAddOnStatus};
use serde_json::{Value, json};

use crate::names::WRITER;
use crate::ocm::{AddOnTemplate, ManagedClusterAddOn};

/// Stand-alone, referring to the template `metrics-1.5.0`.
pub fn mca(name: &str, uid: &str) -> ManagedClusterAddOn {
    read(json!({
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

pub fn template(name: &str, manifests: impl Into<Vec<Value>>) -> AddOnTemplate {
    read(json!({
        "apiVersion": "addon.open-cluster-management.io/v1alpha1",
        "kind": "AddOnTemplate",
        "metadata": {"name": name},
        "spec": {"addonName": "metrics", "agentSpec": {"workload": {"manifests": manifests.into()}}},
    }))
}

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

pub fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v"}})
}

/// As it is in the cluster after hub-sync wrote it for the `ManagedClusterAddOn` of this UID.
pub fn followed(name: &str, mca_uid: &str) -> ManagedAddOn {
    let mut add_on = local(name);
    add_on.metadata.labels = Some(BTreeMap::from([(label::WRITTEN_BY.into(), WRITER.into())]));
    add_on.metadata.annotations = Some(BTreeMap::from([
        (annotation::MCA_UID.into(), mca_uid.into()),
        (annotation::TEMPLATE.into(), "metrics-1.5.0".into()),
    ]));
    add_on
}

/// As somebody applied it by hand.
pub fn local(name: &str) -> ManagedAddOn {
    let mut add_on: ManagedAddOn = read(managed_add_on(name, "1.5.0"));
    add_on.metadata.uid = Some(format!("{name}-uid"));
    add_on.metadata.generation = Some(1);
    add_on
}

/// The status that says so much in the CRD's own words.
pub fn status(told: Value) -> ManagedAddOnStatus {
    read(told)
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}
