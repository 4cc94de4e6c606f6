//! Compares living custom resources with a definition before it is written. The API server accepts a narrower definition
//! without a warning, and the fields that objects then lose are lost.

use kube::api::{Api, ListParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::ApiResource;
use lifecycle::crd_compat::{Change, Definition, Narrowing, changes};
use lifecycle::rollback_safety::Instances;
use lifecycle::{Fault, Reason};
use serde_json::Value;

use crate::cluster::access::Access;
use crate::cluster::error;
use crate::cluster::living::LivingObject;
use crate::cluster::ownership::is_ours;
use crate::cluster::resolved::ResolvedObject;

/// Objects per request: each may be large.
const PAGE_SIZE: u32 = 100;

/// Refuses a definition by which foreign objects would lose data. The add-on's own objects are in its bundle in the form
/// that it wants.
///
/// # Errors
/// `DefinitionNarrowed`; a fault of the API server if the objects could not be listed.
pub async fn refuse_data_loss(
    access: &Access,
    object: &ResolvedObject,
    living: Option<&LivingObject>,
) -> Result<(), Fault> {
    let Some(new) = Definition::read(&object.manifest) else { return Ok(()) };
    let Some(old) = living_definition(living) else { return Ok(()) };
    let changes = changes(&old, &new);
    if !changes.iter().any(may_lose_data) {
        return Ok(());
    }
    let is_moved = changes.iter().any(is_storage_move);
    let is_converted = is_moved && changes.contains(&Change::Conversion);
    let loss = |version: &str, instance: &Value| match is_converted {
        // Nobody can say how it would be converted.
        true => Some("is stored and converted otherwise from then on".to_owned()),
        false => new.data_loss(&old, version, instance).into_iter().next(),
    };
    match find_foreign(access, &old, loss).await? {
        None => Ok(()),
        Some((name, loss)) => {
            let (key, kind) = (object.key(), &old.kind);
            let message =
                format!("{key}: {kind} {name} {loss}, and the API server would not refuse it");
            Err(Fault::new(Reason::DefinitionNarrowed, message))
        }
    }
}

fn may_lose_data(change: &Change) -> bool {
    match change {
        Change::Field { narrowing, .. } => *narrowing != Narrowing::Rule,
        Change::StorageMoved { .. } | Change::Conversion => true,
        // The API server refuses these, or they are not about what is stored.
        Change::Identity | Change::StoredVersionGone(_) | Change::NotServed(_) => false,
    }
}

fn is_storage_move(change: &Change) -> bool {
    matches!(change, Change::StorageMoved { .. })
}

/// Returns whether a living definition has foreign objects.
///
/// # Errors
/// Transient faults of the API server.
pub async fn has_foreign_instances(
    access: &Access,
    living: Option<&LivingObject>,
) -> Result<Instances, Fault> {
    let Some(definition) = living_definition(living) else { return Ok(Instances::None) };
    match find_foreign(access, &definition, |_, _| Some(String::new())).await {
        Ok(Some(_)) => Ok(Instances::Exist),
        Ok(None) => Ok(Instances::None),
        Err(fault) if fault.transient => Err(fault),
        Err(_) => Ok(Instances::Unknown),
    }
}

fn living_definition(living: Option<&LivingObject>) -> Option<Definition> {
    Definition::read(living?.content()?)
}

/// Returns the name of the first foreign object for which `judge` returns a text, and that text.
async fn find_foreign(
    access: &Access,
    definition: &Definition,
    judge: impl Fn(&str, &Value) -> Option<String>,
) -> Result<Option<(String, String)>, Fault> {
    let context = format!("could not read the objects of {}", definition.name);
    let Some(version) = definition.reading_version() else {
        let message = format!("{context}: no version is served");
        return Err(Fault::new(Reason::CheckFailed, message));
    };
    let gvk = GroupVersionKind::gvk(&definition.group, &version.name, &definition.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &definition.plural);
    let api: Api<DynamicObject> = Api::all_with(access.client.clone(), &resource);
    let mut params = ListParams::default().limit(PAGE_SIZE);
    loop {
        let page = api.list(&params).await.map_err(|e| error::to_fault(&context, &e))?;
        for item in page.items.iter().filter(|item| !is_ours(&item.metadata, &access.add_on)) {
            let object = serde_json::to_value(item).unwrap_or_default();
            if let Some(judgement) = judge(&version.name, &object) {
                return Ok(Some((full_name(item), judgement)));
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(None),
        }
    }
}

fn full_name(item: &DynamicObject) -> String {
    let name = item.metadata.name.clone().unwrap_or_default();
    match &item.metadata.namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name,
    }
}
