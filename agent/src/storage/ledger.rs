//! The ledger in `ManagedAddOn.status`: read at start and saved before each action.
//!
//! Each save names the resourceVersion that was read, so two agents can never both continue a rollout.

use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use lifecycle::names::FINALIZER;
use lifecycle::spec::duration::whole_seconds;
use lifecycle::{Fault, ManagedAddOn, ManagedAddOnStatus, Rollout, StatusContext, status};
use serde_json::json;
use tokio::time::Instant;

use crate::cluster::error;
use crate::storage::releases::ReleaseStore;
use crate::storage::successor::Successors;

/// Longest time between saves while time spent is counted. A kill loses no more of it.
const SPENT_SAVE_INTERVAL: Duration = Duration::from_secs(5);

/// The ledger of one add-on, and the `ManagedAddOn` that holds it.
pub struct Ledger {
    api: Api<ManagedAddOn>,
    /// The newest known form of the `ManagedAddOn`.
    pub add_on: ManagedAddOn,
    /// The rollout as saved, apart from time spent.
    pub rollout: Rollout,
    saved_at: Instant,
    /// The resourceVersion that the watch delivered last.
    watched_version: Option<u64>,
}

/// News from the watch, compared with the ledger in memory.
#[derive(Debug, PartialEq, Eq)]
pub enum WatchNews {
    /// The rollout is the known one.
    Unchanged,
    /// Another writer saved another rollout, which is the ledger from here on.
    RolloutChanged,
    /// The object is older than the last one from the watch: etcd was restored, or the server lags behind. Only a read
    /// can distinguish the two.
    OlderVersion,
}

/// The outcome of a save.
#[derive(Debug, PartialEq, Eq)]
pub enum SaveOutcome {
    Saved,
    /// Another writer was first. The new form was read instead, and everything has to be observed again.
    Conflict {
        /// The other writer changed the rollout too.
        rollout_changed: bool,
    },
    /// The `ManagedAddOn` does not exist.
    Gone,
}

impl Ledger {
    /// Reads the ledger of an add-on. A missing ledger is inherited from the predecessor, or rebuilt from the retained
    /// releases. Returns `None` if there is no such `ManagedAddOn`.
    ///
    /// # Errors
    /// `UnknownLedger` for a ledger that this agent cannot read; otherwise the API server's error.
    pub async fn open(
        client: Client,
        name: &str,
        store: &ReleaseStore,
        successors: &Successors,
    ) -> Result<Option<Self>, Fault> {
        let api: Api<ManagedAddOn> = Api::all(client);
        let failed = |e: kube::Error| error::to_fault("could not read the ManagedAddOn", &e);
        let Some(add_on) = api.get_opt(name).await.map_err(failed)? else { return Ok(None) };
        let rollout = match load_rollout(&add_on)? {
            Some(rollout) => rollout,
            None => match successors.inherit(&add_on).await.map_err(failed)? {
                Some(inherited) => inherited,
                None => Rollout::rebuild(&store.list().await.map_err(failed)?),
            },
        };
        let saved_at = Instant::now();
        Ok(Some(Self { api, add_on, rollout, saved_at, watched_version: None }))
    }

    /// Saves a rollout and the status that follows from it. If only time spent differs, it is saved every
    /// [`SPENT_SAVE_INTERVAL`].
    ///
    /// # Errors
    /// The API server's error, except for a conflict or a missing object. The ledger is then as before.
    pub async fn save(
        &mut self,
        rollout: Rollout,
        context: &StatusContext,
    ) -> Result<SaveOutcome, kube::Error> {
        let before = self.add_on.status.clone().unwrap_or_default();
        let status = status(&rollout, context, &before.conditions, now());
        if self.is_saved(&rollout, &status, &before) {
            self.rollout = rollout;
            return Ok(SaveOutcome::Saved);
        }
        self.add_on.status = Some(status);
        let params = PostParams::default();
        match self.api.replace_status(&self.name(), &params, &self.add_on).await {
            Ok(saved) => {
                self.add_on = saved;
                self.rollout = rollout;
                self.saved_at = Instant::now();
                Ok(SaveOutcome::Saved)
            }
            Err(error) if error::is_conflict(&error) => {
                self.add_on.status = Some(before);
                self.refresh().await
            }
            Err(error) if error::is_not_found(&error) => Ok(SaveOutcome::Gone),
            Err(error) => {
                self.add_on.status = Some(before);
                Err(error)
            }
        }
    }

    /// Returns whether the cluster has this rollout and status already, or all of it but a little time spent.
    fn is_saved(
        &self,
        rollout: &Rollout,
        status: &ManagedAddOnStatus,
        before: &ManagedAddOnStatus,
    ) -> bool {
        let is_same = before.rollout.is_some()
            && without_ledger(status) == without_ledger(before)
            && rollout.equals_except_time(&self.rollout);
        is_same && (*rollout == self.rollout || self.saved_at.elapsed() < SPENT_SAVE_INTERVAL)
    }

    /// Reads the `ManagedAddOn` again after another writer changed it.
    async fn refresh(&mut self) -> Result<SaveOutcome, kube::Error> {
        let Some(newest) = self.api.get_opt(&self.name()).await? else {
            return Ok(SaveOutcome::Gone);
        };
        let rollout_changed = self.replace_rollout(&newest);
        self.add_on = newest;
        Ok(SaveOutcome::Conflict { rollout_changed })
    }

    /// Takes over an object from the watch if it is newer than the one in memory.
    pub fn update_from_watch(&mut self, add_on: &ManagedAddOn) -> WatchNews {
        let version = resource_version(add_on);
        if version < self.watched_version {
            return WatchNews::OlderVersion;
        }
        // A repeated object is no news, even if it is newer than the one in memory: etcd may have been restored.
        let is_new = version > self.watched_version;
        self.watched_version = version;
        if !is_new || version <= resource_version(&self.add_on) {
            return WatchNews::Unchanged;
        }
        let rollout_changed = self.replace_rollout(add_on);
        self.add_on = add_on.clone();
        if rollout_changed { WatchNews::RolloutChanged } else { WatchNews::Unchanged }
    }

    /// Reads the saved ledger, even if it is older than the one in memory. Returns whether the rollout changed.
    ///
    /// `watched` is the object that the watch delivered last.
    pub async fn reload(&mut self, watched: &ManagedAddOn) -> Result<bool, kube::Error> {
        let outcome = self.refresh().await?;
        self.watched_version = resource_version(watched);
        Ok(outcome != SaveOutcome::Conflict { rollout_changed: false })
    }

    /// Continues from the rollout in `newest` if it is not the saved one. Returns whether it did.
    ///
    /// Another agent may have saved it, or this one without receiving the response.
    fn replace_rollout(&mut self, newest: &ManagedAddOn) -> bool {
        let saved = |add_on: &ManagedAddOn| add_on.status.as_ref().and_then(|s| s.rollout.clone());
        if saved(newest) == saved(&self.add_on) {
            return false;
        }
        let Ok(Some(rollout)) = load_rollout(newest) else { return false };
        tracing::warn!(
            "the saved ledger differs from the one in memory; continuing from the saved one"
        );
        self.rollout = rollout;
        true
    }

    /// Adds the agent's finalizer to the `ManagedAddOn`.
    ///
    /// # Errors
    /// The API server's error. After a conflict the `ManagedAddOn` was read again.
    pub async fn add_finalizer(&mut self) -> Result<(), Fault> {
        let mut finalizers = self.foreign_finalizers();
        finalizers.push(FINALIZER.to_owned());
        self.set_finalizers(finalizers).await
    }

    /// Removes the agent's finalizer from the `ManagedAddOn`, if it exists.
    ///
    /// # Errors
    /// As of [`Ledger::add_finalizer`].
    pub async fn remove_finalizer(&mut self) -> Result<(), Fault> {
        self.set_finalizers(self.foreign_finalizers()).await
    }

    fn foreign_finalizers(&self) -> Vec<String> {
        let finalizers = self.add_on.metadata.finalizers.iter().flatten();
        finalizers.filter(|finalizer| *finalizer != FINALIZER).cloned().collect()
    }

    async fn set_finalizers(&mut self, finalizers: Vec<String>) -> Result<(), Fault> {
        let patch = json!({"metadata": {
            "resourceVersion": self.add_on.metadata.resource_version,
            "finalizers": finalizers,
        }});
        let name = self.name();
        match self.api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(saved) => {
                self.add_on = saved;
                Ok(())
            }
            Err(error) if error::is_absent(&error, &name) => Ok(()),
            Err(error) => {
                if error::is_conflict(&error) {
                    _ = self.refresh().await;
                }
                Err(error::to_fault("could not change the finalizer", &error))
            }
        }
    }

    fn name(&self) -> String {
        self.add_on.metadata.name.clone().unwrap_or_default()
    }
}

/// Returns the part of a status that users see.
fn without_ledger(status: &ManagedAddOnStatus) -> ManagedAddOnStatus {
    ManagedAddOnStatus { rollout: None, ..status.clone() }
}

fn resource_version(add_on: &ManagedAddOn) -> Option<u64> {
    add_on.metadata.resource_version.as_ref()?.parse().ok()
}

fn load_rollout(add_on: &ManagedAddOn) -> Result<Option<Rollout>, Fault> {
    add_on.status.as_ref().map_or(Ok(None), Rollout::load)
}

/// Returns the time in whole seconds, as Kubernetes' API has it.
pub fn now() -> Timestamp {
    whole_seconds(Timestamp::now())
}
