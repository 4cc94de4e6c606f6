//! Claims that Kubernetes would delete with an object: those of a StatefulSet whose policy says so, and those that the object
//! owns. They hold data, so they stay unless the annotation `delete-data` is set.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, ListParams, Patch, PatchParams};
use lifecycle::plan::waves::Wave;
use lifecycle::{Fault, KnownKind};
use serde_json::{Value, json};

use crate::cluster::access::Access;
use crate::cluster::error;
use crate::cluster::living::LivingObject;
use crate::cluster::resolved::ResolvedObject;

/// Where a StatefulSet says what happens to its claims when it is deleted.
const POLICY: &str = "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted";

/// Whether an object may be deleted without a claim that would go with it.
pub enum Claims {
    /// No claim would go.
    Safe,
    /// Its controller is letting go of the claims.
    BeingReleased,
    /// A claim would go, and nothing but keeping the object prevents it.
    WouldGo(String),
}

/// Keeps the claims of a StatefulSet, and finds those that any other object owns.
///
/// # Errors
/// The API server's.
pub async fn protect(
    access: &Access,
    object: &ResolvedObject,
    living: &LivingObject,
) -> Result<Claims, Fault> {
    if object.manifest.is(KnownKind::StatefulSet) {
        return release_claims(access, object, living).await;
    }
    Ok(match find_owned(access, object, living).await? {
        Some(claim) => Claims::WouldGo(format!("PersistentVolumeClaim {claim} would go with it")),
        None => Claims::Safe,
    })
}

/// Makes the controller of a StatefulSet give up its ownership of claims, and waits until it did.
async fn release_claims(
    access: &Access,
    object: &ResolvedObject,
    living: &LivingObject,
) -> Result<Claims, Fault> {
    let Some(set) = access.get(object).await? else { return Ok(Claims::Safe) };
    if set.0.pointer(POLICY).is_some_and(|policy| policy == "Delete") {
        let policy = json!({"whenDeleted": "Retain"});
        let patch = json!({"spec": {"persistentVolumeClaimRetentionPolicy": policy}});
        let params = PatchParams::default();
        let api = access.api(object).await?;
        let patched = api.patch(object.name(), &params, &Patch::Merge(patch)).await;
        patched.map_err(|e| error::to_object_fault(&object.key(), &e))?;
        return Ok(Claims::BeingReleased);
    }
    let is_observed = set.0.pointer("/status/observedGeneration").and_then(Value::as_i64)
        >= set.0.pointer("/metadata/generation").and_then(Value::as_i64);
    let is_released = is_observed && find_owned(access, object, living).await?.is_none();
    Ok(if is_released { Claims::Safe } else { Claims::BeingReleased })
}

/// Returns the name of a claim that the object owns. Only workloads and custom resources own claims.
async fn find_owned(
    access: &Access,
    object: &ResolvedObject,
    living: &LivingObject,
) -> Result<Option<String>, Fault> {
    let may_own = matches!(object.wave(), Wave::Workloads | Wave::CustomResources);
    let Some(namespace) = object.manifest.namespace().filter(|_| may_own) else { return Ok(None) };
    let api: Api<PersistentVolumeClaim> = Api::namespaced(access.client.clone(), namespace);
    let claims = match api.list_metadata(&ListParams::default()).await {
        Ok(claims) => claims.items,
        // An account that may not see claims made none. Those of a StatefulSet are released all the same.
        Err(kube::Error::Api(status)) if status.code == 403 => return Ok(None),
        Err(error) => return Err(error::to_fault("could not list the claims", &error)),
    };
    let owned = claims.into_iter().find(|claim| {
        let mut owners = claim.metadata.owner_references.iter().flatten();
        claim.metadata.deletion_timestamp.is_none()
            && owners.any(|owner| Some(owner.uid.as_str()) == living.uid())
    });
    Ok(owned.and_then(|claim| claim.metadata.name))
}
