//! Writes to `ManagedAddOn`s on the managed cluster.

use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt};
use lifecycle::names::annotation::{MCA_UID, ORPHANED};
use lifecycle::names::label;
use lifecycle::{Fault, ManagedAddOn};
use serde_json::{Value, json};
use tracing::info;

use crate::assignments::ownership::{self, OwnershipAction};
use crate::assignments::template::{DesiredAddOn, invalid_assignment};
use crate::assignments::tracker::WrittenAddOn;
use crate::kube_error::{chain, refusal, with_timeout};
use crate::names::{FIELD_MANAGER, patch_params};

/// Reasons for which a `ManagedAddOn` was not written.
pub enum WriteError {
    /// The API server refused the object; it would refuse it again.
    Refused(Fault),
    /// Likely gone at the next attempt.
    Transient(String),
}

impl From<kube::Error> for WriteError {
    fn from(error: kube::Error) -> Self {
        match refusal(&error) {
            Some(message) => WriteError::Refused(invalid_assignment(message)),
            None => WriteError::Transient(chain(&error)),
        }
    }
}

/// Applies a `ManagedAddOn` and returns it as written.
///
/// Reads it once more before: the watch may not have shown yet that somebody else created one of the same name.
pub async fn apply(
    add_ons: &Api<ManagedAddOn>,
    desired: &DesiredAddOn,
) -> Result<WrittenAddOn, WriteError> {
    let existing = with_timeout(add_ons.get_opt(&desired.name)).await?;
    ownership::check_writable(existing.as_ref())
        .map_err(|fault| WriteError::Transient(fault.message))?;
    let mut object = desired.object.clone();
    if let Some(existing) = &existing {
        object["metadata"]["uid"] = json!(existing.uid());
    }
    let params = PatchParams::apply(FIELD_MANAGER).force().validation_strict();
    let patch = Patch::Apply(&object);
    let written = with_timeout(add_ons.patch(&desired.name, &params, &patch)).await?;
    if existing.and_then(|existing| existing.metadata.generation) != written.metadata.generation {
        info!(add_on = desired.name, version = desired.version, "ManagedAddOn written");
    }
    Ok(WrittenAddOn {
        uid: written.uid().unwrap_or_default(),
        generation: written.metadata.generation.unwrap_or_default(),
    })
}

/// Carries out an ownership action. It fails with a conflict if another object has taken the name.
pub async fn change_ownership(
    add_ons: &Api<ManagedAddOn>,
    action: &OwnershipAction,
) -> kube::Result<()> {
    match action {
        OwnershipAction::Delete { name, uid } => delete(add_ons, name, uid).await,
        OwnershipAction::Orphan { name, uid, reason } => {
            let metadata = json!({"uid": uid, "annotations": {ORPHANED: reason}});
            patch_metadata(add_ons, name, metadata).await
        }
        OwnershipAction::Follow { name, uid, mca_uid } => {
            let annotations = json!({ORPHANED: null, MCA_UID: mca_uid});
            patch_metadata(add_ons, name, json!({"uid": uid, "annotations": annotations})).await
        }
        OwnershipAction::HandOver { name, uid } => {
            let labels = json!({label::WRITTEN_BY: null});
            let annotations = json!({ORPHANED: null, MCA_UID: null});
            let metadata = json!({"uid": uid, "labels": labels, "annotations": annotations});
            patch_metadata(add_ons, name, metadata).await
        }
    }
}

/// Deletes only the object of this UID. The agent's finalizer turns the deletion into an orderly uninstall.
async fn delete(add_ons: &Api<ManagedAddOn>, name: &str, uid: &str) -> kube::Result<()> {
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
    with_timeout(add_ons.delete(name, &params)).await.map(drop)
}

async fn patch_metadata(
    add_ons: &Api<ManagedAddOn>,
    name: &str,
    metadata: Value,
) -> kube::Result<()> {
    let (params, patch) = (patch_params(), json!({"metadata": metadata}));
    let patch = Patch::Merge(&patch);
    with_timeout(add_ons.patch_metadata(name, &params, &patch)).await.map(drop)
}
