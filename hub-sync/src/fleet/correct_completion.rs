//! The task that removes OCM's premature completions from the hub, so that its rollout waits for the version.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::Patch;
use kube::{Api, Client, ResourceExt};
use lifecycle::ManagedAddOn;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::backoff::IDLE;
use crate::channels::{AddOns, changed};
use crate::fleet::premature_completion::premature_completion;
use crate::hub_state::HubState;
use crate::kube_error::{chain, is_conflict};
use crate::names::patch_params;
use crate::ocm::ManagedClusterAddOn;

/// Least time between two corrections of the same assignment. A controller that disagrees is not fought.
const CORRECTION_PERIOD: Duration = Duration::from_secs(60);

/// Attempts to write a status that OCM writes at the same time.
const ATTEMPTS: usize = 4;

/// The assignment that was corrected last, and when, by add-on.
type Corrections = BTreeMap<String, (Value, Instant)>;

/// Runs for good.
pub async fn run(
    hub: Client,
    cluster: String,
    mut hub_receiver: watch::Receiver<HubState>,
    mut add_on_receiver: watch::Receiver<AddOns>,
) {
    let mcas = Api::namespaced(hub, &cluster);
    let mut corrections = Corrections::new();
    loop {
        let hub_state = hub_receiver.borrow_and_update().clone();
        let add_ons = add_on_receiver.borrow_and_update().clone();
        let next_turn = correct_all(&mcas, &hub_state, &add_ons, &mut corrections).await;
        tokio::select! {
            () = changed(&mut hub_receiver) => {}
            () = changed(&mut add_on_receiver) => {}
            () = tokio::time::sleep_until(next_turn) => {}
        }
    }
}

/// Returns the time of the next turn if nothing changes before.
async fn correct_all(
    mcas: &Api<ManagedClusterAddOn>,
    hub_state: &HubState,
    add_ons: &AddOns,
    corrections: &mut Corrections,
) -> Instant {
    let mut next_turn = Instant::now() + IDLE;
    for (name, mca) in &hub_state.mcas {
        let Some(add_on) = add_ons.get(name) else { continue };
        let Some(premature) = premature_completion(mca, add_on) else { continue };
        let last = corrections.get(name).filter(|(desired, _)| *desired == premature.desired);
        let due = last.map_or_else(Instant::now, |(_, time)| *time + CORRECTION_PERIOD);
        if due > Instant::now() {
            next_turn = next_turn.min(due);
            continue;
        }
        corrections.insert(name.clone(), (premature.desired, Instant::now()));
        next_turn = next_turn.min(Instant::now() + CORRECTION_PERIOD);
        if let Err(error) = correct(mcas, name, add_on).await {
            let error = chain(&error);
            warn!(add_on = name, error, "cannot remove OCM's premature completion, will retry");
        }
    }
    next_turn
}

/// Writes the whole list for the exact resource version that was read: a merge patch replaces lists.
async fn correct(
    mcas: &Api<ManagedClusterAddOn>,
    name: &str,
    add_on: &ManagedAddOn,
) -> kube::Result<()> {
    for attempts_left in (0..ATTEMPTS).rev() {
        let Some(mca) = mcas.get_opt(name).await? else { return Ok(()) };
        let Some(premature) = premature_completion(&mca, add_on) else { return Ok(()) };
        let patch = json!({
            "metadata": {"uid": mca.uid(), "resourceVersion": mca.resource_version()},
            "status": {"configReferences": premature.corrected},
        });
        match mcas.patch_status(name, &patch_params(), &Patch::Merge(&patch)).await {
            Err(error) if is_conflict(&error) && attempts_left > 0 => {}
            Err(error) => return Err(error),
            Ok(_) => {
                info!(add_on = name, "OCM's premature completion removed from the hub");
                return Ok(());
            }
        }
    }
    Ok(())
}
