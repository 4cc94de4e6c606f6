//! Which fields of an object without an owner an adoption takes over.

use lifecycle::managed_fields::{Adopted, adopt};
use lifecycle::{Fault, Object};

use crate::cluster::access::Access;
use crate::cluster::fresh_form::fresh_form;
use crate::cluster::living::LivingObject;
use crate::cluster::resolved::ResolvedObject;

/// Returns the owners that the fields of an adopted object will have.
///
/// # Errors
/// A transient fault if the API server had no answer.
pub async fn fields_of(
    access: &Access,
    object: &ResolvedObject,
    living: &LivingObject,
    content: &Object,
) -> Result<Adopted, Fault> {
    let manifest = &object.manifest;
    let fresh = fresh_form(access, object, manifest).await?;
    Ok(adopt(living.managed_fields(), content, manifest, fresh.as_ref()))
}
