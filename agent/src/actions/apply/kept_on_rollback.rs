//! What going back leaves as it is: the API server refuses the old form, or it takes it and lets fields of living objects
//! go.

use lifecycle::{ActionableBy, Fault};

use crate::cluster::access::Access;
use crate::cluster::crd_instances;
use crate::cluster::dry_run::dry_run;
use crate::cluster::resolved::ResolvedObject;

/// Why an object that holds data stays; `None` where it can be put back.
pub async fn cause(access: &Access<'_>, placed: &ResolvedObject) -> Result<Option<Fault>, Fault> {
    let holds_data = matches!(
        placed.object.kind(),
        "CustomResourceDefinition" | "PersistentVolumeClaim" | "PersistentVolume"
    );
    if !holds_data {
        return Ok(None);
    }
    let fault = match dry_run(access, placed).await {
        // What is the environment's to mend is waited for.
        Err(fault)
            if fault.transient || fault.reason.actionable_by() == ActionableBy::Environment =>
        {
            return Err(fault);
        }
        Err(fault) => fault,
        Ok(_) => match crd_instances::refuse_harm(access, placed).await {
            Ok(()) => return Ok(None),
            Err(fault) if fault.transient => return Err(fault),
            // Also where it cannot be told: then nothing is risked.
            Err(fault) => fault,
        },
    };
    tracing::warn!(object = %placed.object.key(), cause = fault.message, "left as it is");
    Ok(Some(fault))
}
