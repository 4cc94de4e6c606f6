//! The ledger in `ManagedAddOn.status`: read at start, saved before each action, with resourceVersion, so that two
//! agents can never both go on.

use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use lifecycle::names::FINALIZER;
use lifecycle::spec::duration::whole_seconds;
use lifecycle::{Fault, ManagedAddOn, Rollout, StatusContext, status};
use serde_json::json;
use tokio::time::Instant;

use crate::cluster::error;
use crate::storage::releases::Store;
use crate::storage::successor::Successors;

/// Time spent is saved at least this often while it is counted; a kill loses no more of it.
const SPENT_EVERY: Duration = Duration::from_secs(5);

pub struct Ledger {
    api: Api<ManagedAddOn>,
    pub object: ManagedAddOn,
    pub rollout: Rollout,
    saved_at: Instant,
    /// The resourceVersion that the watch told last.
    told: Option<u64>,
}

/// What the watch tells, against what is known here.
#[derive(Debug, PartialEq, Eq)]
pub enum WatchNews {
    NothingNew,
    /// Another place of the rollout.
    Anew,
    /// Less than it told before: an etcd that was restored, or a server that lags behind. Only a read tells which.
    Older,
}

/// What came of saving.
#[derive(Debug, PartialEq, Eq)]
pub enum Saved {
    Yes,
    /// Someone else wrote: everything has to be looked at again; `anew`, also where the rollout is.
    Overtaken {
        anew: bool,
    },
    /// The `ManagedAddOn` is gone.
    Gone,
}

impl Ledger {
    /// Reads the ledger; one that is lost is made anew from the retained releases.
    pub async fn open(
        client: Client,
        name: &str,
        store: &Store,
        successors: &Successors,
    ) -> Result<Option<Self>, Fault> {
        let api: Api<ManagedAddOn> = Api::all(client);
        let read = |e: kube::Error| error::of("the ManagedAddOn could not be read", &e);
        let Some(object) = api.get_opt(name).await.map_err(read)? else { return Ok(None) };
        let rollout = match load(&object)? {
            Some(rollout) => rollout,
            None => match successors.inherit(&object).await.map_err(read)? {
                Some(inherited) => inherited,
                None => Rollout::rebuild(&store.list().await.map_err(read)?),
            },
        };
        Ok(Some(Self { api, object, rollout, saved_at: Instant::now(), told: None }))
    }

    /// Saves if anything but time changed, or if enough time did.
    pub async fn save(
        &mut self,
        rollout: Rollout,
        beside: &StatusContext,
    ) -> Result<Saved, kube::Error> {
        let before = self.object.status.clone().unwrap_or_default();
        let status = status(&rollout, beside, &before.conditions, now());
        let shown = |status: &lifecycle::ManagedAddOnStatus| lifecycle::ManagedAddOnStatus {
            rollout: None,
            ..status.clone()
        };
        let same = before.rollout.is_some()
            && shown(&status) == shown(&before)
            && rollout.same_but_for_time(&self.rollout);
        if same && (rollout == self.rollout || self.saved_at.elapsed() < SPENT_EVERY) {
            self.rollout = rollout;
            return Ok(Saved::Yes);
        }
        self.object.status = Some(status);
        let name = self.name();
        match self.api.replace_status(&name, &PostParams::default(), &self.object).await {
            Ok(written) => {
                self.object = written;
                self.rollout = rollout;
                self.saved_at = Instant::now();
                Ok(Saved::Yes)
            }
            Err(error) if error::is_conflict(&error) => {
                self.object.status = Some(before);
                self.read_again().await
            }
            Err(error) if error::is_gone(&error) => Ok(Saved::Gone),
            Err(error) => {
                self.object.status = Some(before);
                Err(error)
            }
        }
    }

    async fn read_again(&mut self) -> Result<Saved, kube::Error> {
        let Some(fresh) = self.api.get_opt(&self.name()).await? else { return Ok(Saved::Gone) };
        let anew = self.adopt(&fresh);
        self.object = fresh;
        Ok(Saved::Overtaken { anew })
    }

    /// A newer form of the object than the one at hand takes its place.
    pub fn notice(&mut self, object: &ManagedAddOn) -> WatchNews {
        let told = version(object);
        if told < self.told {
            return WatchNews::Older;
        }
        // What was told long ago is no news, not even where it is newer: an etcd may have been restored since.
        let news = told > self.told;
        self.told = told;
        if !news || told <= version(&self.object) {
            return WatchNews::NothingNew;
        }
        let anew = self.adopt(object);
        self.object = object.clone();
        if anew { WatchNews::Anew } else { WatchNews::NothingNew }
    }

    /// Reads what is saved now, whatever was told; whether that is another place of the rollout.
    pub async fn read_anew(&mut self, told: &ManagedAddOn) -> Result<bool, kube::Error> {
        let read = self.read_again().await?;
        self.told = version(told);
        Ok(read != Saved::Overtaken { anew: false })
    }

    /// Goes on from what another agent saved, or this one without hearing of it.
    fn adopt(&mut self, object: &ManagedAddOn) -> bool {
        let saved = |object: &ManagedAddOn| object.status.as_ref().and_then(|s| s.rollout.clone());
        if saved(object) == saved(&self.object) {
            return false;
        }
        let Ok(Some(rollout)) = load(object) else { return false };
        tracing::warn!("the ledger says more than was known here; going on from there");
        self.rollout = rollout;
        true
    }

    /// Puts our finalizer on or takes it off.
    pub async fn set_finalizer(&mut self, on: bool) -> Result<(), Fault> {
        let metadata = &self.object.metadata;
        let mut finalizers = metadata.finalizers.clone().unwrap_or_default();
        finalizers.retain(|finalizer| finalizer != FINALIZER);
        if on {
            finalizers.push(FINALIZER.to_owned());
        }
        let patch = json!({"metadata": {
            "resourceVersion": metadata.resource_version,
            "finalizers": finalizers,
        }});
        let name = self.name();
        match self.api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(written) => {
                self.object = written;
                Ok(())
            }
            Err(error) if error::is_absent(&error, &name) => Ok(()),
            Err(error) => {
                if error::is_conflict(&error) {
                    _ = self.read_again().await;
                }
                Err(error::of("the finalizer could not be changed", &error))
            }
        }
    }

    fn name(&self) -> String {
        self.object.metadata.name.clone().unwrap_or_default()
    }
}

fn version(object: &ManagedAddOn) -> Option<u64> {
    object.metadata.resource_version.as_ref()?.parse().ok()
}

fn load(object: &ManagedAddOn) -> Result<Option<Rollout>, Fault> {
    object.status.as_ref().map_or(Ok(None), Rollout::load)
}

pub fn now() -> Timestamp {
    whole_seconds(Timestamp::now())
}
