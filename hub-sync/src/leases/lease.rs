//! Writes and deletes one Lease, unless it is foreign.

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, Patch, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::kube_error::with_timeout;
use crate::names::{FIELD_MANAGER, patch_params};

/// Condition for writing an existing lease.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Renewal {
    /// Every time: its renew time is its content.
    Always,
    /// Only if more than its renew time changes.
    OnChange,
}

/// Outcome of a write that did not fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WriteOutcome {
    /// The lease was created or patched.
    Written,
    /// The lease has this content already.
    Unchanged,
    /// There is a lease without our labels, which stays as it is.
    Foreign,
}

/// Creates `lease`, or patches the `existing` one that was read before.
pub async fn write(
    api: &Api<Lease>,
    existing: Option<&Lease>,
    lease: &Lease,
    renewal: Renewal,
) -> kube::Result<WriteOutcome> {
    let Some(existing) = existing else {
        let field_manager = Some(FIELD_MANAGER.to_owned());
        let params = PostParams { field_manager, ..PostParams::default() };
        with_timeout(api.create(&params, lease)).await?;
        return Ok(WriteOutcome::Written);
    };
    if !is_ours(existing, lease) {
        return Ok(WriteOutcome::Foreign);
    }
    if renewal == Renewal::OnChange && is_same(existing, lease) {
        return Ok(WriteOutcome::Unchanged);
    }
    let patch = Patch::Merge(merge_patch(existing, lease));
    with_timeout(api.patch(&lease.name_any(), &patch_params(), &patch)).await?;
    Ok(WriteOutcome::Written)
}

/// Deletes the lease with the name and labels of `lease`, if it exists.
pub async fn delete(api: &Api<Lease>, lease: &Lease) -> kube::Result<()> {
    let existing = with_timeout(api.get_opt(&lease.name_any())).await?;
    let Some(existing) = existing.filter(|existing| is_ours(existing, lease)) else {
        return Ok(());
    };
    let preconditions = Preconditions { uid: existing.uid(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    with_timeout(api.delete(&lease.name_any(), &params)).await.map(drop)
}

/// Returns whether an existing lease has all labels that we set.
fn is_ours(existing: &Lease, lease: &Lease) -> bool {
    lease.labels().iter().all(|(key, value)| existing.labels().get(key) == Some(value))
}

/// Returns whether all that we write is equal, apart from the renew time.
fn is_same(existing: &Lease, lease: &Lease) -> bool {
    let without_time = |lease: &Lease| {
        let mut spec = lease.spec.clone().unwrap_or_default();
        spec.renew_time = None;
        (spec, lease.metadata.owner_references.clone())
    };
    let has_annotations = lease
        .annotations()
        .iter()
        .all(|(key, value)| existing.annotations().get(key) == Some(value));
    has_annotations && without_time(existing) == without_time(lease)
}

/// Returns a patch for the exact version that was read. Foreign labels and annotations stay.
fn merge_patch(existing: &Lease, lease: &Lease) -> Value {
    let mut metadata = json!({
        "uid": existing.metadata.uid,
        "resourceVersion": existing.metadata.resource_version,
    });
    // A null would delete foreign ones.
    if let Some(annotations) = &lease.metadata.annotations {
        metadata["annotations"] = json!(annotations);
    }
    if let Some(owners) = &lease.metadata.owner_references {
        metadata["ownerReferences"] = json!(owners);
    }
    json!({"metadata": metadata, "spec": lease.spec})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_ours_by_its_labels() {
        assert!(is_ours(
            &lease(json!({"a": "metrics", "more": "x"})),
            &lease(json!({"a": "metrics"}))
        ));
        assert!(!is_ours(&lease(json!({"a": "logs"})), &lease(json!({"a": "metrics"}))));
        assert!(!is_ours(&lease(json!({})), &lease(json!({"a": "metrics"}))));
    }

    #[test]
    fn a_new_renew_time_alone_is_no_change() {
        let old = lease(json!({}));
        let mut new = old.clone();
        new.spec.as_mut().unwrap().renew_time = None;
        assert!(is_same(&old, &new));
        new.annotations_mut().insert("status".to_owned(), "{}".to_owned());
        assert!(!is_same(&old, &new));
        let mut new = old.clone();
        new.spec.as_mut().unwrap().lease_transitions = Some(7);
        assert!(!is_same(&old, &new));
    }

    #[test]
    fn labels_annotations_and_owners_that_we_do_not_set_stay() {
        let mut old = lease(json!({}));
        old.annotations_mut().insert("foreign".to_owned(), "stays".to_owned());
        assert!(is_same(&old, &lease(json!({}))));
        let patch = merge_patch(&old, &lease(json!({"a": "b"})));
        for field in ["labels", "annotations", "ownerReferences"] {
            assert_eq!(patch["metadata"].get(field), None, "{field}");
        }
    }

    fn lease(labels: Value) -> Lease {
        serde_json::from_value(json!({
            "metadata": {"name": "metrics", "labels": labels},
            "spec": {"renewTime": "2026-01-01T00:00:00.000000Z", "leaseTransitions": 1},
        }))
        .unwrap()
    }
}
