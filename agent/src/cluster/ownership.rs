//! Who a living object belongs to: this add-on, another one, or none.

use std::collections::BTreeSet;

use kube::api::{Api, ObjectMeta};
use lifecycle::names::{FIELD_MANAGER, label};
use lifecycle::{Fault, KnownKind, ManagedAddOn, Reason};

use crate::cluster::access::Access;
use crate::cluster::error;
use crate::cluster::living::LivingObject;
use crate::cluster::resolved::ResolvedObject;

/// Maximum number of field managers in a message.
const MAX_MANAGERS: usize = 5;

/// Reads the living object and refuses one that this add-on may not write.
///
/// # Errors
/// As of [`ensure_owned`] and [`Access::read`].
pub async fn read_owned(
    access: &Access,
    object: &ResolvedObject,
    may_adopt: bool,
) -> Result<Option<LivingObject>, Fault> {
    let living = access.read(object).await?;
    ensure_owned(access, object, living.as_ref(), may_adopt).await?;
    Ok(living)
}

/// Refuses a living object of another add-on. One of no add-on, or of an add-on that does not exist any more, is refused too,
/// unless it may be adopted.
///
/// # Errors
/// `NotOurs`.
pub async fn ensure_owned(
    access: &Access,
    object: &ResolvedObject,
    living: Option<&LivingObject>,
    may_adopt: bool,
) -> Result<(), Fault> {
    let Some(living) = living else { return Ok(()) };
    let whose = match living.owner() {
        Some(owner) if owner == access.add_on => return Ok(()),
        Some(owner) if !is_gone(access, owner).await => format!("add-on {owner}'s"),
        Some(_) | None if may_adopt => return Ok(()),
        Some(owner) => format!(
            "add-on {owner}'s, which does not exist any more; policy.adopt would take it over"
        ),
        None => "not this add-on's; policy.adopt would take it over".to_owned(),
    };
    let managers = describe_managers(&living.metadata);
    let hint = shared_namespace_hint(object);
    let message = format!("{} exists already and is {whose}{managers}{hint}", object.key());
    Err(Fault::new(Reason::NotOurs, message))
}

/// Returns whether there is no `ManagedAddOn` of this name. Any other answer of the API server proves nothing.
async fn is_gone(access: &Access, add_on: &str) -> bool {
    let add_ons: Api<ManagedAddOn> = Api::all(access.cluster.agent_client());
    let found = add_ons.get_metadata(add_on).await;
    found.is_err_and(|error| error::is_absent(&error, add_on))
}

/// Several add-ons can use a Namespace, and one of them has it in its bundle.
fn shared_namespace_hint(object: &ResolvedObject) -> &'static str {
    match object.manifest.is(KnownKind::Namespace) {
        true => "; to share it, leave it out of this bundle",
        false => "",
    }
}

/// Returns whether an agent wrote the object for the add-on. The label alone proves nothing: controllers copy labels to
/// the objects that they create.
pub fn is_ours(metadata: &ObjectMeta, add_on: &str) -> bool {
    let labels = metadata.labels.as_ref();
    let mut managers = metadata.managed_fields.iter().flatten();
    labels.and_then(|labels| labels.get(label::ADD_ON)).is_some_and(|owner| owner == add_on)
        && managers.any(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER))
}

/// Returns the other field managers in words: ` (managed by helm, kubectl)`.
fn describe_managers(metadata: &ObjectMeta) -> String {
    let entries = metadata.managed_fields.iter().flatten();
    let managers: BTreeSet<&str> = entries
        .filter(|entry| entry.subresource.as_deref().is_none_or(str::is_empty))
        .filter_map(|entry| entry.manager.as_deref())
        .filter(|manager| *manager != FIELD_MANAGER)
        .take(MAX_MANAGERS)
        .collect();
    if managers.is_empty() {
        return String::new();
    }
    format!(" (managed by {})", managers.into_iter().collect::<Vec<_>>().join(", "))
}
