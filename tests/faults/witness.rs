//! What the agent sends and tells: nothing that was not verified, and nothing that is secret.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::core::ObjectList;
use lifecycle::names::annotation;
use lifecycle::{ManagedAddOn, Phase, digest};
use serde::Deserialize;
use serde_json::Value;
use testbed::bundle::Bundle;
use testbed::fault_proxy::Record;

use crate::lane::Lane;
use crate::scenario::{CANARY, MANAGED_ADD_ONS};

pub struct Witness {
    /// The contents of every bundle's objects, by digest, kind and name.
    bundles: Mutex<BTreeMap<String, Contents>>,
    complaints: Mutex<Vec<String>>,
    /// What nobody may tell.
    secrets: Mutex<Vec<String>>,
    /// What was sent to be saved in a ledger, whether or not it arrived.
    sent: Mutex<Vec<(String, Instant, Phase)>>,
    /// So many agents ended before their logs were last looked at.
    agents: AtomicUsize,
}

type Contents = BTreeMap<(String, String), Value>;

impl Witness {
    pub fn new() -> Self {
        let secrets = [CANARY.to_owned(), BASE64_STANDARD.encode(CANARY)];
        Self {
            bundles: Mutex::default(),
            complaints: Mutex::default(),
            secrets: Mutex::new(secrets.to_vec()),
            sent: Mutex::default(),
            agents: AtomicUsize::new(0),
        }
    }

    /// Some of the middle of a credential: it does not look like anything else.
    pub fn keep_secret(&self, credential: &str) {
        let keys = credential.split("client-key-data: ").skip(1);
        let middle = keys.filter_map(|key| key.get(200..260)).map(str::to_owned);
        lock(&self.secrets).extend(middle);
    }

    /// Its objects may be sent.
    pub fn expect(&self, bundle: &Bundle) {
        let contents = bundle.objects().iter().map(|object| (key(object), content(object)));
        lock(&self.bundles).insert(digest(bundle.yaml().as_bytes()), contents.collect());
    }

    /// What is sent with a bundle's digest on it has to be in that bundle, as it is there.
    pub fn look_at(&self, record: &Record, body: &[u8]) {
        let Ok(object) = serde_json::from_slice::<Value>(body) else { return };
        self.note(record, &object);
        let Some(digest) = object["metadata"]["annotations"][annotation::DIGEST].as_str() else {
            return;
        };
        // A retained release is a Secret of its own.
        let is_release = !object["metadata"]["annotations"][annotation::RELEASE_ID].is_null();
        let bundles = lock(&self.bundles);
        let known = bundles.get(digest);
        let verified = known.is_some_and(|known| is_release || has(known, &object));
        if !verified {
            let sent = format!("{} {} was sent and is in no bundle", record.verb, record.path);
            lock(&self.complaints).push(sent);
        }
    }

    fn note(&self, record: &Record, object: &Value) {
        let Some(name) = ledger_of(record) else { return };
        let phase = Phase::deserialize(&object["status"]["phase"]);
        if let Ok(phase) = phase {
            lock(&self.sent).push((name.to_owned(), Instant::now(), phase));
        }
    }

    /// The phases of an add-on, in the order in which they were sent.
    pub fn sent(&self, add_on: &str) -> Vec<(Instant, Phase)> {
        let sent = lock(&self.sent);
        sent.iter()
            .filter(|(name, ..)| name == add_on)
            .map(|(_, at, phase)| (*at, *phase))
            .collect()
    }

    /// Since the last time.
    pub fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.complaints))
    }

    /// Where a secret was told since the last time: logs, metrics, events, statuses, the hub.
    pub async fn secrets_told(&self, lane: &Lane) -> Result<Vec<String>> {
        let (logs, agents) = lane.managed.agent_logs_after(self.agents.load(Ordering::Relaxed));
        self.agents.store(agents.saturating_sub(1), Ordering::Relaxed);
        let events: ObjectList<Event> =
            Api::all(lane.client.clone()).list(&Default::default()).await?;
        let add_ons: ObjectList<ManagedAddOn> =
            Api::all(lane.client.clone()).list(&Default::default()).await?;
        let texts = [
            ("logs", logs),
            ("metrics", lane.managed.metrics().await.unwrap_or_default()),
            ("events", serde_json::to_string(&events)?),
            ("ManagedAddOns", serde_json::to_string(&add_ons)?),
            (
                "the hub's leases",
                serde_json::to_string(&lane.hub.leases().list(&Default::default()).await?)?,
            ),
            ("the hub's add-ons", serde_json::to_string(&lane.hub.all_add_ons().await?)?),
        ];
        let secrets = lock(&self.secrets);
        let told = |text: &str| secrets.iter().any(|secret| text.contains(secret.as_str()));
        let places = texts.iter().filter(|(_, text)| told(text));
        Ok(places.map(|(place, _)| format!("a secret is told in {place}")).collect())
    }
}

/// Whose status is put.
fn ledger_of(record: &Record) -> Option<&str> {
    let put = record.path.strip_prefix(MANAGED_ADD_ONS).filter(|_| record.verb == "PUT");
    put?.strip_suffix("/status")
}

fn key(object: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&object["kind"]), text(&object["metadata"]["name"]))
}

/// Whether a bundle has the object. One without a name is the dry run that asks for the form of a new object.
fn has(bundle: &Contents, object: &Value) -> bool {
    let content = content(object);
    let stem = object["metadata"]["generateName"].as_str().and_then(|it| it.strip_suffix('-'));
    let (kind, name) = key(object);
    let name = stem.map_or(name, str::to_owned);
    bundle.get(&(kind, name)) == Some(&content)
}

/// The content as the API server stores it: `stringData` of a Secret becomes `data`.
fn content(object: &Value) -> Value {
    let mut content = object.clone();
    if let Some(content) = content.as_object_mut() {
        content.remove("metadata");
        if let Some(Value::Object(plain)) = content.remove("stringData") {
            let encoded = plain.into_iter().map(|(key, value)| {
                (key, BASE64_STANDARD.encode(value.as_str().unwrap_or_default()).into())
            });
            content.insert("data".to_owned(), Value::Object(encoded.collect()));
        }
    }
    content
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_in_the_bundle_is_told() {
        let bundle = Bundle::new().config("settings", "1");
        let witness = Witness::new();
        witness.expect(&bundle);
        let digest = digest(bundle.yaml().as_bytes());
        let sent = |value: &str, digest: &str| {
            let metadata = json!({"name": "settings", "annotations": {annotation::DIGEST: digest}});
            let kind = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
            let mut object = kind;
            object["data"] = json!({"value": value});
            let record = Record {
                ordinal: 0,
                server: "api",
                verb: "PATCH".into(),
                path: "/x".into(),
                watch: false,
            };
            witness.look_at(&record, object.to_string().as_bytes());
            witness.complaints().len()
        };
        assert_eq!(sent("1", &digest), 0);
        assert_eq!(sent("2", &digest), 1, "other content");
        assert_eq!(sent("1", "sha256:other"), 1, "another bundle");
    }
}
