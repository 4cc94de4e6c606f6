//! Hooks of other tools in a bundle: those of Helm and of Open Cluster Management.

use crate::kind::KnownKind;
use crate::object::Object;
use crate::reason::{Fault, Reason};

/// OCM's annotation on a Job or Pod that it runs before it deletes an add-on.
const PRE_DELETE: &str = "addon.open-cluster-management.io/addon-pre-delete";

/// OCM's older label for the same, which it still respects.
const PRE_DELETE_LABEL: &str = "open-cluster-management.io/addon-pre-delete";

/// Helm's annotation: a comma-separated list of moments.
const HELM_HOOK: &str = "helm.sh/hook";

/// Helm's moments to which applying the object with the others comes close enough.
const APPLIED_MOMENTS: [&str; 5] =
    ["crd-install", "pre-install", "post-install", "pre-upgrade", "post-upgrade"];

/// Rejects an object that Helm or OCM runs only for a deletion, a rollback or a test. Applied with the others it would do
/// that at once, such as cleaning up. Objects that Helm runs around an install or upgrade are applied with the others.
///
/// # Errors
/// `InvalidObject`.
pub fn reject_foreign_hook(object: &Object) -> Result<(), Fault> {
    let rejected = |why: &str| {
        let message = format!("{}: {why}; here it would run at once. Leave it out", object.key());
        Err(Fault::new(Reason::InvalidObject, message))
    };
    if is_pre_delete(object) {
        return rejected("Open Cluster Management runs it before an add-on is deleted");
    }
    match object.annotation(HELM_HOOK) {
        Some(moments) if !moments.split(',').any(is_applied_moment) => {
            rejected(&format!("Helm runs it for {moments:?}"))
        }
        _ => Ok(()),
    }
}

/// Helm ignores the case of a moment.
fn is_applied_moment(moment: &str) -> bool {
    APPLIED_MOMENTS.iter().any(|applied| applied.eq_ignore_ascii_case(moment.trim()))
}

/// To OCM no other kinds are hooks.
fn is_pre_delete(object: &Object) -> bool {
    let is_marked =
        object.annotation(PRE_DELETE).is_some() || object.label(PRE_DELETE_LABEL).is_some();
    is_marked && (object.is(KnownKind::Job) || object.is(KnownKind::Pod))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(api_version: &str, kind: &str, metadata: Value) -> Result<(), Reason> {
        let object = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata});
        reject_foreign_hook(&Object(object)).map_err(|fault| fault.reason)
    }

    #[test]
    fn jobs_that_ocm_runs_before_a_deletion_are_rejected() {
        let annotated = json!({"annotations": {PRE_DELETE: ""}});
        let labelled = json!({"labels": {PRE_DELETE_LABEL: ""}});
        assert_eq!(check("batch/v1", "Job", annotated.clone()), Err(Reason::InvalidObject));
        assert_eq!(check("batch/v1", "Job", labelled), Err(Reason::InvalidObject));
        assert_eq!(check("v1", "ServiceAccount", annotated), Ok(()), "no hook of OCM's");
    }

    #[test]
    fn objects_that_helm_runs_around_an_install_or_upgrade_are_applied() {
        let rejected = Err(Reason::InvalidObject);
        for (moments, expected) in [
            ("pre-delete", rejected),
            ("post-delete, post-rollback", rejected),
            ("test", rejected),
            ("post-install, test", Ok(())),
            ("pre-upgrade", Ok(())),
            ("Post-Install", Ok(())),
        ] {
            let metadata = json!({"annotations": {HELM_HOOK: moments}});
            assert_eq!(check("batch/v1", "Job", metadata), expected, "{moments}");
        }
    }
}
