//! The foreign fields of an object that is replaced: they go over to the new one, under the names of their managers.

use std::collections::BTreeMap;

use kube::api::{Patch, PatchParams};
use lifecycle::managed_fields::foreign_values;
use lifecycle::{Fault, Object};
use serde_json::Value;

use crate::cluster::access::Access;
use crate::cluster::error;
use crate::cluster::living::LivingObject;
use crate::cluster::resolved::ResolvedObject;

/// Sets the foreign fields that the replaced object had. A manager whose fields are refused is skipped, as it can set them
/// itself; without them the new object is still what the release says.
pub async fn restore(
    access: &Access,
    object: &ResolvedObject,
    manifest: &Object,
    replaced: &LivingObject,
) -> Result<(), Fault> {
    let Some(content) = replaced.content() else { return Ok(()) };
    let foreign: BTreeMap<String, Value> =
        foreign_values(replaced.managed_fields(), content, manifest);
    let api = access.api(object).await?;
    for (manager, values) in foreign {
        let params = PatchParams { field_manager: Some(manager.clone()), ..PatchParams::default() };
        let set = api.patch(object.name(), &params, &Patch::Merge(values)).await;
        if let Err(error) = set {
            let cause = error::to_object_fault(&object.key(), &error).message;
            tracing::warn!(object = %object.key(), manager, cause, "could not keep foreign fields");
        }
    }
    Ok(())
}
