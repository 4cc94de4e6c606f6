//! Writes a lease that may or may not be there, and none that is somebody else's.

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, Patch, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::kube_error::in_time;
use crate::names::{FIELD_MANAGER, by_us};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Renewal {
    /// Its time is the point of it.
    Always,
    /// Its time is that of the last change.
    OnChange,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    Written,
    Unchanged,
    /// There is one without our labels, which is left alone.
    Foreign,
}

/// Brings the lease that was read as `old` to `new`.
pub async fn write(
    api: &Api<Lease>,
    old: Option<&Lease>,
    new: &Lease,
    renewal: Renewal,
) -> kube::Result<Outcome> {
    let manager = Some(FIELD_MANAGER.to_owned());
    let Some(old) = old else {
        let params = PostParams { field_manager: manager, ..PostParams::default() };
        in_time(api.create(&params, new)).await?;
        return Ok(Outcome::Written);
    };
    if !is_ours(old, new) {
        return Ok(Outcome::Foreign);
    }
    if renewal == Renewal::OnChange && is_same(old, new) {
        return Ok(Outcome::Unchanged);
    }
    let params = by_us();
    let patch = Patch::Merge(patch(old, new));
    in_time(api.patch(&new.name_any(), &params, &patch)).await?;
    Ok(Outcome::Written)
}

/// Removes the lease that `ours` would be, if it is there and has our labels.
pub async fn remove(api: &Api<Lease>, ours: &Lease) -> kube::Result<()> {
    let Some(old) = in_time(api.get_opt(&ours.name_any())).await? else { return Ok(()) };
    if !is_ours(&old, ours) {
        return Ok(());
    }
    let preconditions = Preconditions { uid: old.uid(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    in_time(api.delete(&ours.name_any(), &params)).await.map(drop)
}

/// It has the labels that ours has.
fn is_ours(old: &Lease, new: &Lease) -> bool {
    new.labels().iter().all(|label| old.labels().get(label.0) == Some(label.1))
}

/// Equal in all that we write, but for the time of writing.
fn is_same(old: &Lease, new: &Lease) -> bool {
    let ours = |lease: &Lease| {
        let mut spec = lease.spec.clone().unwrap_or_default();
        spec.renew_time = None;
        (spec, lease.metadata.owner_references.clone())
    };
    let told = new.annotations().iter().all(|it| old.annotations().get(it.0) == Some(it.1));
    told && ours(old) == ours(new)
}

/// Only of the lease as it was read; others' labels and annotations stay.
fn patch(old: &Lease, new: &Lease) -> Value {
    let mut metadata =
        json!({"uid": old.metadata.uid, "resourceVersion": old.metadata.resource_version});
    // A null would remove what others wrote.
    if let Some(annotations) = &new.metadata.annotations {
        metadata["annotations"] = json!(annotations);
    }
    if let Some(owners) = &new.metadata.owner_references {
        metadata["ownerReferences"] = json!(owners);
    }
    json!({"metadata": metadata, "spec": new.spec})
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
    fn the_time_of_writing_alone_is_no_change() {
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
    fn what_others_wrote_stays() {
        let mut old = lease(json!({}));
        old.annotations_mut().insert("theirs".to_owned(), "kept".to_owned());
        assert!(is_same(&old, &lease(json!({}))));
        let patch = patch(&old, &lease(json!({"a": "b"})));
        for kept in ["labels", "annotations", "ownerReferences"] {
            assert_eq!(patch["metadata"].get(kept), None, "{kept}");
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
