//! What is in the cluster of one add-on, in a form in which two runs can be compared.

use std::collections::BTreeMap;

use anyhow::Result;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use lifecycle::names::{DEFAULT_NAMESPACE, annotation, label};
use lifecycle::{ManagedAddOn, ManagedAddOnStatus, RetainedState};
use serde_json::{Value, json};
use testbed::Hub;

use crate::hub_book;

pub const KINDS: [(&str, &str, &str); 7] = [
    ("", "v1", "Namespace"),
    ("", "v1", "ConfigMap"),
    ("", "v1", "Secret"),
    ("", "v1", "ServiceAccount"),
    ("rbac.authorization.k8s.io", "v1", "Role"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
    ("apps", "v1", "Deployment"),
];

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// By kind and name, without what differs between any two runs.
    pub objects: BTreeMap<String, Value>,
    pub uids: BTreeMap<String, String>,
    /// The retained releases and the ManagedAddOn.
    pub books: BTreeMap<String, Value>,
}

impl Snapshot {
    pub async fn take(client: &Client, hub: Option<&Hub>, name: &str) -> Result<Self> {
        let mut snapshot = Self::default();
        // What evidence there is depends on when the fault came.
        let selector = format!("{}={name},!{}", label::ADD_ON, label::EVIDENCE);
        let ours = ListParams::default().labels(&selector);
        for (group, version, kind) in KINDS {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let all = api.list(&ours).await?.into_iter();
            for object in all.filter(|object| !object.labels().contains_key(label::STATE)) {
                snapshot.add(&format!("{kind} {}", object.name_any()), name, object)?;
            }
        }
        let secret = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Secret"));
        let api: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), DEFAULT_NAMESPACE, &secret);
        for object in api.list_metadata(&ours).await? {
            let text = |text: Option<&String>| text.cloned().unwrap_or_default();
            let version = text(object.annotations().get(annotation::VERSION));
            let state = text(object.labels().get(label::STATE));
            snapshot.books.insert(format!("release {version}"), json!(state));
        }
        let api: Api<ManagedAddOn> = Api::all(client.clone());
        let object = api.get_opt(name).await?;
        if let Some(hub) = hub {
            let status = object.as_ref().and_then(|object| object.status.as_ref());
            snapshot
                .books
                .insert(hub_book::NAME.to_owned(), hub_book::read(hub, name, status).await?);
        }
        if let Some(object) = object {
            let status = object.status.clone().unwrap_or_default();
            let mut book = shown(&status);
            book["finalizers"] = json!(object.metadata.finalizers);
            snapshot.books.insert("ManagedAddOn".to_owned(), book);
        }
        Ok(snapshot)
    }

    fn add(&mut self, key: &str, name: &str, object: DynamicObject) -> Result<()> {
        let key = key.replace(name, "{name}");
        self.uids.insert(key.clone(), object.uid().unwrap_or_default());
        let text = serde_json::to_string(&object)?.replace(name, "{name}");
        let mut object: Value = serde_json::from_str(&text)?;
        mask(&mut object);
        self.objects.insert(key, object);
        Ok(())
    }

    /// In words; empty when nothing differs.
    pub fn differences(&self, reference: &Self) -> Vec<String> {
        let mut found = Vec::new();
        compare(&self.objects, &reference.objects, &mut found);
        compare(&self.books, &reference.books, &mut found);
        found
    }

    /// Without what the hub knows.
    pub fn differences_here(&self, reference: &Self) -> Vec<String> {
        let here = |snapshot: &Self| {
            let mut here = snapshot.clone();
            here.books.remove(hub_book::NAME);
            here
        };
        here(self).differences(&here(reference))
    }

    /// Whether the hub knows what the ledger says.
    pub fn is_told(&self) -> bool {
        self.books.get(hub_book::NAME).is_some_and(hub_book::is_true)
    }

    /// Nothing else is left.
    pub fn is_namespace(&self) -> bool {
        self.books.keys().all(|key| key == hub_book::NAME)
            && self.objects.keys().all(|key| key.starts_with("Namespace "))
    }

    /// No release is there that was only tried.
    pub fn is_tidy(&self) -> bool {
        !self.books.values().any(|state| state == RetainedState::Candidate.name())
    }

    pub fn same_objects(&self, other: &Self) -> bool {
        self.objects == other.objects
    }
}

/// What of a status is the same in every run.
fn shown(status: &ManagedAddOnStatus) -> Value {
    let history: Vec<String> = status
        .history
        .iter()
        .map(|entry| {
            let version = entry.version.as_deref().unwrap_or("none");
            let (operation, result) = (entry.operation.name(), entry.result.name());
            format!("{} {operation} {version} {result} {}", entry.sequence, entry.reason)
        })
        .collect();
    let conditions: Vec<String> = status
        .conditions
        .iter()
        // What was mended depends on when the fault came.
        .filter(|condition| condition.type_ != "Drifted")
        .map(|condition| format!("{} {} {}", condition.type_, condition.status, condition.reason))
        .collect();
    let rollout = status.rollout.clone().unwrap_or_default();
    let touched: Vec<&Value> = match rollout["touched"].as_array() {
        Some(touched) => touched.iter().map(|release| &release["version"]).collect(),
        None => Vec::new(),
    };
    json!({
        "phase": status.phase.map(lifecycle::Phase::name),
        "operation": status.operation.map(|operation| operation.name()),
        "result": status.result.map(|result| result.name()),
        "reason": status.reason,
        "versions": [status.current_version, status.desired_version, status.previous_version],
        "touched": touched,
        "transitions": rollout["transitions"],
        "leftovers": rollout["operation"]["leftovers"].as_array().is_some_and(|all| !all.is_empty()),
        "history": history,
        "conditions": conditions,
    })
}

fn mask(object: &mut Value) {
    let status = object["status"].take();
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    let metadata = &mut object["metadata"];
    let terminating = !metadata["deletionTimestamp"].is_null();
    if let Some(metadata) = metadata.as_object_mut() {
        for name in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"] {
            metadata.remove(name);
        }
    }
    for pointer in [label::RELEASE, annotation::DIGEST, "deployment.kubernetes.io/revision"] {
        for of in ["labels", "annotations"] {
            if let Some(all) = metadata[of].as_object_mut() {
                all.remove(pointer);
            }
        }
    }
    if terminating {
        object["metadata"]["deletionTimestamp"] = json!("some time");
    }
    if !status["readyReplicas"].is_null() {
        object["readyReplicas"] = status["readyReplicas"].clone();
    }
}

fn compare(
    here: &BTreeMap<String, Value>,
    there: &BTreeMap<String, Value>,
    found: &mut Vec<String>,
) {
    for key in here.keys().filter(|key| !there.contains_key(*key)) {
        found.push(format!("{key} should not be there: {}", here[key]));
    }
    for (key, wanted) in there {
        match here.get(key) {
            None => found.push(format!("{key} is missing")),
            Some(value) => differ(key, value, wanted, found),
        }
    }
}

fn differ(at: &str, value: &Value, wanted: &Value, found: &mut Vec<String>) {
    match (value, wanted) {
        (Value::Object(here), Value::Object(there)) => {
            let keys = here.keys().chain(there.keys().filter(|key| !here.contains_key(*key)));
            for key in keys {
                let none = Value::Null;
                let [value, wanted] = [here, there].map(|all| all.get(key).unwrap_or(&none));
                differ(&format!("{at}/{key}"), value, wanted, found);
            }
        }
        _ if value == wanted => {}
        _ => found.push(format!("{at} is {value} and should be {wanted}")),
    }
}
