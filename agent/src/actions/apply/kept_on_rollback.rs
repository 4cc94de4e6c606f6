//! Objects that a rollback leaves as they are: the API server refuses their former form, or accepts it and drops fields of
//! living objects.

use lifecycle::{ActionableBy, Fault, KnownKind};

use crate::actions::obstacles::is_clearable;
use crate::actions::release::ResolvedRelease;
use crate::cluster::crd_instances;
use crate::cluster::dry_run::dry_run;
use crate::cluster::living::LivingObject;
use crate::cluster::resolved::ResolvedObject;

/// Returns why an object that holds data stays as it is; `None` if it can be restored.
///
/// # Errors
/// A fault that is transient or for the environment to fix: the rollback waits for it.
pub async fn cause(
    release: &ResolvedRelease,
    object: &ResolvedObject,
    living: Option<&LivingObject>,
) -> Result<Option<Fault>, Fault> {
    let access = &release.access;
    let holds_data = KnownKind::of(&object.manifest)
        .is_some_and(|kind| kind.holds_data() || kind == KnownKind::CustomResourceDefinition);
    if !holds_data {
        return Ok(None);
    }
    let is_fixable = |fault: &Fault| fault.reason.actionable_by() == ActionableBy::Environment;
    let accepted = match dry_run(access, object, living).await {
        Err(fault) if is_clearable(release, &fault).await => Ok(()),
        answered => answered.map(|_| ()),
    };
    let fault = match accepted {
        Err(fault) if fault.transient || is_fixable(&fault) => return Err(fault),
        Err(fault) => fault,
        Ok(()) => match crd_instances::refuse_data_loss(access, object, living).await {
            Ok(()) => return Ok(None),
            Err(fault) if fault.transient => return Err(fault),
            // Also where nobody can say whether data would be lost: nothing is risked then.
            Err(fault) => fault,
        },
    };
    tracing::warn!(object = %object.key(), cause = fault.message, "leaving an object as it is on the rollback");
    Ok(Some(fault))
}
