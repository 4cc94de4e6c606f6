//! Deletes and recreates an object with a field that cannot be changed, for kinds that lose nothing by it.

mod foreign;

use std::time::Duration;

use kube::api::{Patch, PatchParams, PropagationPolicy};
use lifecycle::names::FIELD_MANAGER;
use lifecycle::{Fault, KnownKind, Object, Reason};
use tokio::time::{Instant, sleep};

use crate::cluster::access::{Access, delete_by_uid};
use crate::cluster::dry_run::ensure_creatable;
use crate::cluster::error;
use crate::cluster::living::LivingObject;
use crate::cluster::resolved::ResolvedObject;

/// Time for finalizers and foreground deletion. After it the action is retried.
const DELETION_TIMEOUT: Duration = Duration::from_secs(15);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Deletes the living object, if there is one, and creates it from the manifest, which has to be accepted as a create
/// before. Another object of the same name, with another UID than `living`, is not deleted.
pub async fn replace(
    access: &Access,
    object: &ResolvedObject,
    manifest: &Object,
    living: Option<&LivingObject>,
) -> Result<(), Fault> {
    let (api, key) = (access.api(object).await?, object.key());
    let failed = |error: &kube::Error| error::to_object_fault(&key, error);
    if let Some(living) = living {
        ensure_creatable(access, object, manifest).await?;
        tracing::info!(object = %key, "replacing an object");
        let policy = Some(propagation(manifest));
        let deleted = delete_by_uid(&api, object.name(), living.uid(), policy).await;
        deleted.map_err(|error| failed(&error))?;
        wait_until_deleted(access, object, living).await?;
    }
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let created = api.patch(object.name(), &params, &Patch::Apply(manifest)).await;
    created.map(drop).map_err(|error| failed(&error))?;
    match living {
        Some(living) => foreign::restore(access, object, manifest, living).await,
        None => Ok(()),
    }
}

/// A Job must not run beside its earlier run. Nothing else waits for the end of its pods: one that hangs in termination
/// would leave neither form.
fn propagation(manifest: &Object) -> PropagationPolicy {
    match manifest.is(KnownKind::Job) {
        true => PropagationPolicy::Foreground,
        false => PropagationPolicy::Background,
    }
}

async fn wait_until_deleted(
    access: &Access,
    object: &ResolvedObject,
    deleted: &LivingObject,
) -> Result<(), Fault> {
    let deadline = Instant::now() + DELETION_TIMEOUT;
    while Instant::now() < deadline {
        match access.read_metadata(object).await? {
            Some(living) if living.uid() == deleted.uid() => sleep(POLL_INTERVAL).await,
            _ => return Ok(()),
        }
    }
    let message = format!("{} is still being deleted", object.key());
    Err(Fault::transient(Reason::ApplyFailed, message))
}
