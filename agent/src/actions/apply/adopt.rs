//! Adopts an object of other managers: what the bundle sets becomes ours, so that a later bundle can drop it. Everything else
//! stays with who wrote it.

use std::borrow::Cow;

use lifecycle::Fault;
use lifecycle::names::{annotation, label};
use lifecycle::ownership::adoption;

use crate::cluster::access::Access;
use crate::cluster::adoption::fields_of;
use crate::cluster::living::LivingObject;
use crate::cluster::resolved::ResolvedObject;

/// Returns the object with the annotation that names the release which adopted it, as long as that matters.
pub fn mark_adopted<'a>(
    access: &Access,
    object: &'a ResolvedObject,
    living: Option<&LivingObject>,
) -> Cow<'a, ResolvedObject> {
    let Some(living) = living else { return Cow::Borrowed(object) };
    let release = object.manifest.label(label::RELEASE).unwrap_or_default();
    let is_ours = living.owner() == Some(&access.add_on);
    let available = access.available.as_ref();
    match adoption::adopter(living.adopted_by(), is_ours, release, available) {
        None => Cow::Borrowed(object),
        Some(adopter) => {
            let mut marked = object.clone();
            marked.manifest.set_annotation(annotation::TAKEN_OVER_BY, adopter);
            Cow::Owned(marked)
        }
    }
}

/// Makes those fields of an object that is not the add-on's ours that the bundle sets, and returns the object after it. Refused if
/// the object changed since it was read.
pub async fn take_ownership(
    access: &Access,
    object: &ResolvedObject,
    living: LivingObject,
) -> Result<LivingObject, Fault> {
    let is_ours = living.owner() == Some(&access.add_on);
    let Some(content) = living.content().filter(|_| !is_ours) else { return Ok(living) };
    let adopted = fields_of(access, object, &living, content).await?;
    let left = adopted.describe_left().unwrap_or_default();
    tracing::info!(object = %object.key(), left, "adopting an object");
    let metadata = access.set_managed_fields(object, &living, &adopted.entries).await?;
    Ok(living.with_metadata(metadata))
}
