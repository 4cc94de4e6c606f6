//! The evidence of an add-on's failures: ConfigMaps in the agent's namespace.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use lifecycle::evidence::{config_map_name, outdated};
use lifecycle::names::{FIELD_MANAGER, annotation, label};
use lifecycle::{Failure, Fault};
use serde_json::json;

use crate::cluster::error;

/// The evidence of one add-on.
pub struct EvidenceStore {
    config_maps: Api<ConfigMap>,
    add_on: String,
}

impl EvidenceStore {
    pub fn new(client: Client, namespace: &str, add_on: &str) -> Self {
        Self { config_maps: Api::namespaced(client, namespace), add_on: add_on.to_owned() }
    }

    /// Saves the evidence of a failure and deletes the oldest. Returns the name of the ConfigMap.
    pub async fn save(&self, failure: &Failure, text: String) -> Result<String, Fault> {
        let name = config_map_name(&self.add_on, failure.sequence);
        let sequence = failure.sequence.to_string();
        let config_map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "labels": {label::ADD_ON: self.add_on, label::EVIDENCE: sequence},
                "annotations": {annotation::VERSION: failure.release.version.to_string()},
            },
            "data": {"evidence.txt": text},
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let saved = self.config_maps.patch(&name, &params, &Patch::Apply(config_map)).await;
        saved.map_err(|e| error::to_fault("could not save the evidence", &e))?;
        self.delete(outdated(self.list().await?)).await?;
        Ok(name)
    }

    /// Deletes all evidence of the add-on.
    pub async fn clear(&self) -> Result<(), Fault> {
        let all = self.list().await?;
        self.delete(all.into_iter().map(|(name, _)| name).collect()).await
    }

    /// Returns name and sequence of each.
    async fn list(&self) -> Result<Vec<(String, u64)>, Fault> {
        let selector = format!("{}={},{}", label::ADD_ON, self.add_on, label::EVIDENCE);
        let list = self.config_maps.list_metadata(&ListParams::default().labels(&selector)).await;
        let list = list.map_err(|e| error::to_fault("could not list the evidence", &e))?;
        let named = list.items.into_iter().filter_map(|config_map| {
            let sequence = config_map.metadata.labels?.get(label::EVIDENCE)?.parse().ok()?;
            Some((config_map.metadata.name?, sequence))
        });
        Ok(named.collect())
    }

    async fn delete(&self, names: Vec<String>) -> Result<(), Fault> {
        for name in names {
            match self.config_maps.delete(&name, &DeleteParams::default()).await {
                Ok(_) => {}
                Err(error) if error::is_absent(&error, &name) => {}
                Err(error) => {
                    return Err(error::to_fault("could not delete old evidence", &error));
                }
            }
        }
        Ok(())
    }
}
