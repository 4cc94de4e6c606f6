//! Deletes and creates anew what cannot be changed in place, for kinds where nothing is lost by it.

use std::time::Duration;

use kube::api::{Patch, PatchParams, PropagationPolicy};
use lifecycle::names::FIELD_MANAGER;
use lifecycle::{Fault, Reason};
use tokio::time::{Instant, sleep};

use crate::cluster::access::{Access, delete};
use crate::cluster::error;
use crate::cluster::resolved::ResolvedObject;

/// For finalizers and foreground deletion; then it is tried again.
const GONE_WITHIN: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(100);

/// Deletes what lives, if anything does, and creates the object.
pub async fn anew(access: &Access<'_>, placed: &ResolvedObject) -> Result<(), Fault> {
    let key = placed.object.key();
    let (_, api) = access.api(placed).await?;
    let failed = |e: &kube::Error| error::to_object_fault(&key, e);
    if let Some(living) = access.living(placed).await? {
        tracing::info!(object = %key, "replacing");
        let how = Some(PropagationPolicy::Foreground);
        let deleted = delete(&api, placed.object.name(), living.uid(), how).await;
        deleted.map_err(|error| failed(&error))?;
        gone(access, placed, living.uid()).await?;
    }
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let created = api.patch(placed.object.name(), &params, &Patch::Apply(&placed.object)).await;
    created.map(|_| ()).map_err(|e| failed(&e))
}

async fn gone(
    access: &Access<'_>,
    placed: &ResolvedObject,
    uid: Option<String>,
) -> Result<(), Fault> {
    let deadline = Instant::now() + GONE_WITHIN;
    while Instant::now() < deadline {
        match access.living(placed).await? {
            Some(living) if living.uid() == uid => sleep(LOOK).await,
            _ => return Ok(()),
        }
    }
    let message = format!("{} is still being deleted", placed.object.key());
    Err(Fault::transient(Reason::ApplyFailed, message))
}
