//! Holds living objects against a definition before it is written. The API server takes a narrower one without a word,
//! and what its objects then lose is lost.

use kube::api::{Api, ListParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::ApiResource;
use lifecycle::crd_compat::{Change, Definition, Narrowing, changes};
use lifecycle::rollback_safety::Inhabited;
use lifecycle::{Fault, Object, Reason};
use serde_json::Value;

use crate::cluster::access::{Access, is_ours};
use crate::cluster::error;
use crate::cluster::resolved::ResolvedObject;

/// Objects read at once: each may be large.
const PAGE: u32 = 100;

/// Refuses a definition that harms living objects of others. Objects of this add-on are in its bundle as they should be.
pub async fn refuse_harm(access: &Access<'_>, placed: &ResolvedObject) -> Result<(), Fault> {
    let Some(new) = Definition::read(&placed.object) else { return Ok(()) };
    let Some(old) = living(access, placed).await? else { return Ok(()) };
    let changes = changes(&old, &new);
    if !changes.iter().any(may_harm) {
        return Ok(());
    }
    let (moved, converts) = (changes.iter().any(is_move), changes.contains(&Change::Conversion));
    let harm = |version: &str, object: &Value| match moved && converts {
        // Nobody can say how it would be converted.
        true => Some("is stored and converted otherwise from then on".to_owned()),
        false => new.harm(&old, version, object).into_iter().next(),
    };
    let found = first_of_others(access, &old, harm).await?;
    found.map_or(Ok(()), |(name, harm)| {
        let message = format!(
            "{}: {} {name} {harm}, and the API server would not refuse it",
            placed.object.key(),
            old.kind
        );
        Err(Fault::new(Reason::DefinitionNarrowed, message))
    })
}

fn may_harm(change: &Change) -> bool {
    match change {
        Change::Field { how, .. } => *how != Narrowing::Rule,
        Change::StorageMoved { .. } | Change::Conversion => true,
        // These the API server refuses, or they are not about what is stored.
        Change::Identity | Change::StoredVersionGone(_) | Change::NotServed(_) => false,
    }
}

fn is_move(change: &Change) -> bool {
    matches!(change, Change::StorageMoved { .. })
}

/// Whether there are objects of it that are not this add-on's.
pub async fn inhabited(access: &Access<'_>, placed: &ResolvedObject) -> Result<Inhabited, Fault> {
    let Some(living) = living(access, placed).await? else { return Ok(Inhabited::No) };
    match first_of_others(access, &living, |_, _| Some(String::new())).await {
        Ok(Some(_)) => Ok(Inhabited::Yes),
        Ok(None) => Ok(Inhabited::No),
        Err(fault) if fault.transient => Err(fault),
        Err(_) => Ok(Inhabited::Untold),
    }
}

async fn living(access: &Access<'_>, placed: &ResolvedObject) -> Result<Option<Definition>, Fault> {
    let (_, api) = access.api(placed).await?;
    let name = placed.object.name();
    match api.get(name).await {
        Ok(found) => {
            let object = Object(serde_json::to_value(found).unwrap_or_default());
            Ok(Definition::read(&object))
        }
        Err(error) if error::is_absent(&error, name) => Ok(None),
        Err(error) => {
            let fault = error::to_object_fault(&placed.object.key(), &error);
            // Definitions are always served: a 404 that names none tells nothing.
            Err(Fault { transient: fault.transient || error::is_not_found(&error), ..fault })
        }
    }
}

/// The first object of others of which `says` has something to say, page by page.
async fn first_of_others(
    access: &Access<'_>,
    definition: &Definition,
    says: impl Fn(&str, &Value) -> Option<String>,
) -> Result<Option<(String, String)>, Fault> {
    let unread = |why: &str| format!("objects of {} could not be looked at{why}", definition.name);
    let Some(version) = definition.read_in() else {
        return Err(Fault::new(Reason::CheckFailed, unread(": no version is served")));
    };
    let gvk = GroupVersionKind::gvk(&definition.group, &version.name, &definition.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &definition.plural);
    let api: Api<DynamicObject> = Api::all_with(access.client.clone(), &resource);
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&params).await;
        let page = page.map_err(|e| error::to_fault(&unread(""), &e))?;
        let others = page.items.iter().filter(|item| !is_ours(&item.metadata, access.add_on));
        for item in others {
            let object = serde_json::to_value(item).unwrap_or_default();
            if let Some(said) = says(&version.name, &object) {
                return Ok(Some((name(item), said)));
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(None),
        }
    }
}

fn name(item: &DynamicObject) -> String {
    let metadata = &item.metadata;
    let name = metadata.name.clone().unwrap_or_default();
    metadata.namespace.as_ref().map_or(name.clone(), |namespace| format!("{namespace}/{name}"))
}
