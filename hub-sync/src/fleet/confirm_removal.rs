//! The task that asks the hub whether a removal by the klusterlet was ordered. It records the answer in the annotation
//! `removal` of the `ManagedAddOn`; the agent removes nothing before.

use kube::api::{DynamicObject, Patch};
use kube::{Api, Client};
use lifecycle::names::annotation;
use lifecycle::{EVICTED, ManagedAddOn, ORDERED};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::backoff::{Backoff, HUB};
use crate::channels::{AddOns, LinkState, changed, reconnected};
use crate::fleet::removal_intent::{
    UnconfirmedRemoval, WorkRecord, WorkState, holds_add_on, is_ordered, unconfirmed_removals,
    work_api, work_name,
};
use crate::kube_error::{chain, is_not_found, is_object_missing, with_timeout};
use crate::names::patch_params;

/// The task with the objects it reads and writes.
pub struct ConfirmRemovalTask {
    /// `ManifestWork`s on the hub.
    works: Api<DynamicObject>,
    /// `AppliedManifestWork`s on the managed cluster.
    records: Api<DynamicObject>,
    add_ons: Api<ManagedAddOn>,
}

impl ConfirmRemovalTask {
    /// Returns a task that reads this cluster's `ManifestWork`s on the hub.
    pub fn new(hub: Client, cluster: &str, managed: Client) -> Self {
        Self {
            works: Api::namespaced_with(hub, cluster, &work_api("ManifestWork")),
            records: Api::all_with(managed.clone(), &work_api("AppliedManifestWork")),
            add_ons: Api::all(managed),
        }
    }

    /// Runs for good.
    pub async fn run(
        self,
        mut add_on_receiver: watch::Receiver<AddOns>,
        mut link_state: watch::Receiver<LinkState>,
    ) {
        let mut backoff = Backoff::new(HUB);
        loop {
            let removals = unconfirmed_removals(&add_on_receiver.borrow_and_update().clone());
            if self.confirm_all(removals, &backoff).await {
                backoff.reset();
            } else {
                backoff.record_failure(Instant::now(), fastrand::f64());
            }
            let next_attempt = backoff.next_attempt().unwrap_or_else(Instant::now);
            tokio::select! {
                () = changed(&mut add_on_receiver) => {}
                () = tokio::time::sleep_until(next_attempt), if backoff.is_failing() => {}
                () = reconnected(&mut link_state), if backoff.is_failing() => {}
            }
        }
    }

    /// Returns whether all are confirmed.
    async fn confirm_all(&self, removals: Vec<UnconfirmedRemoval>, backoff: &Backoff) -> bool {
        let mut all_done = true;
        for removal in removals {
            match self.confirm(&removal).await {
                Ok(()) => {}
                Err(error) if is_not_found(&error) => {
                    debug!(add_on = removal.name, "the ManagedAddOn is gone already")
                }
                Err(error) => {
                    all_done = false;
                    log(&removal.name, &chain(&error), backoff);
                }
            }
        }
        all_done
    }

    async fn confirm(&self, removal: &UnconfirmedRemoval) -> kube::Result<()> {
        let mut states = Vec::new();
        for record in &removal.records {
            states.push(self.read_work(record, &removal.name).await?);
        }
        let answer = if is_ordered(&states) { ORDERED } else { EVICTED };
        let annotations = json!({annotation::REMOVAL: answer});
        let patch = json!({"metadata": {"uid": removal.uid, "annotations": annotations}});
        let (params, patch) = (patch_params(), Patch::Merge(&patch));
        with_timeout(self.add_ons.patch_metadata(&removal.name, &params, &patch)).await?;
        info!(add_on = removal.name, removal = answer, "removal confirmed with the hub");
        Ok(())
    }

    /// Reads the whole work, with its bundles, only where its metadata do not suffice.
    async fn read_work(&self, record: &WorkRecord, add_on: &str) -> kube::Result<WorkState> {
        let Some(name) = work_name(&record.name) else { return Ok(WorkState::NoProof) };
        let work = match self.works.get_metadata(name).await {
            Ok(work) if work.metadata.deletion_timestamp.is_some() => {
                return Ok(WorkState::Deleting);
            }
            Ok(_) if !self.is_kept(record).await? => return Ok(WorkState::NoProof),
            Ok(_) => self.works.get(name).await,
            Err(error) => Err(error),
        };
        match work {
            Ok(work) if holds_add_on(&work, add_on) => Ok(WorkState::HoldsAddOn),
            Ok(_) => Ok(WorkState::DroppedAddOn),
            Err(error) if is_object_missing(&error, name) => Ok(WorkState::NoProof),
            Err(error) => Err(error),
        }
    }

    /// Returns whether the klusterlet keeps its record.
    async fn is_kept(&self, record: &WorkRecord) -> kube::Result<bool> {
        match with_timeout(self.records.get_metadata(&record.name)).await {
            Ok(existing) => {
                let is_same = existing.metadata.uid.as_ref() == Some(&record.uid);
                Ok(is_same && existing.metadata.deletion_timestamp.is_none())
            }
            Err(error) if is_not_found(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn log(add_on: &str, error: &str, backoff: &Backoff) {
    match backoff.is_failing() {
        false => warn!(add_on, error, "cannot confirm a removal with the hub, will retry"),
        true => debug!(add_on, error, "cannot confirm a removal with the hub yet"),
    }
}
