//! Decides whether the hub ordered a removal by the klusterlet. Pure.
//!
//! A deletion on the hub keeps the `ManifestWork` there, with a deletion timestamp, until its last object on the managed
//! cluster is gone. So a work that is missing was lost: the hub was restored from a backup, or is another hub. The
//! klusterlet's own records are no proof: OCM 1.0 deletes the objects of a work when it cannot ask its API server for the
//! kind.

use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use lifecycle::{DeletionIntent, ManagedAddOn, applied_manifest_works};
use serde_json::Value;

use crate::channels::AddOns;

/// Length of the SHA-256 of the hub's address in hex, with which the names of the klusterlet's records begin.
const HUB_HASH_LENGTH: usize = 64;

/// A `ManagedAddOn` that is being deleted although nobody knows yet whether the hub ordered that.
#[derive(Clone, Debug, PartialEq)]
pub struct UnconfirmedRemoval {
    pub name: String,
    pub uid: String,
    /// The klusterlet's records that own it.
    pub records: Vec<WorkRecord>,
}

/// An `AppliedManifestWork`: the klusterlet's record of what it applied from one `ManifestWork`.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkRecord {
    pub name: String,
    pub uid: String,
}

/// State of the `ManifestWork` of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkState {
    /// The hub deletes it.
    Deleting,
    /// It exists on both sides, without the `ManagedAddOn`.
    DroppedAddOn,
    /// It exists on both sides, with the `ManagedAddOn`.
    HoldsAddOn,
    /// It is missing on the hub, or the klusterlet does not keep its record: no proof of an order.
    NoProof,
}

/// Returns the removals about which the hub has to be asked.
pub fn unconfirmed_removals(add_ons: &AddOns) -> Vec<UnconfirmedRemoval> {
    let is_unconfirmed =
        |add_on: &ManagedAddOn| DeletionIntent::read(add_on) == DeletionIntent::Unconfirmed;
    let unconfirmed = add_ons.values().filter(|add_on| is_unconfirmed(add_on));
    unconfirmed.filter_map(|add_on| unconfirmed_removal(add_on)).collect()
}

fn unconfirmed_removal(add_on: &ManagedAddOn) -> Option<UnconfirmedRemoval> {
    let records = applied_manifest_works(add_on)
        .map(|(name, uid)| WorkRecord { name: name.to_owned(), uid: uid.to_owned() })
        .collect();
    Some(UnconfirmedRemoval { name: add_on.name_any(), uid: add_on.uid()?, records })
}

/// Returns whether the states of all its works prove an order. A work that still holds the add-on outweighs one that
/// dropped it.
pub fn is_ordered(states: &[WorkState]) -> bool {
    let is_dropped =
        states.contains(&WorkState::DroppedAddOn) && !states.contains(&WorkState::HoldsAddOn);
    states.contains(&WorkState::Deleting) || is_dropped
}

/// Returns whether a `ManifestWork` holds the `ManagedAddOn` of this name.
pub fn holds_add_on(work: &DynamicObject, add_on: &str) -> bool {
    let manifests = work.data.pointer("/spec/workload/manifests").and_then(Value::as_array);
    manifests.into_iter().flatten().any(|manifest| {
        manifest["kind"] == "ManagedAddOn" && manifest["metadata"]["name"] == add_on
    })
}

/// Returns the name of a record's `ManifestWork`: the record is named `<hash of the hub>-<name>`.
pub fn work_name(record: &str) -> Option<&str> {
    let (hash, name) = record.split_at_checked(HUB_HASH_LENGTH)?;
    let is_hex = hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.strip_prefix('-').filter(|name| is_hex && !name.is_empty())
}

/// Returns a kind of OCM's work API.
pub fn work_api(kind: &str) -> ApiResource {
    let kind = GroupVersionKind::gvk("work.open-cluster-management.io", "v1", kind);
    ApiResource::from_gvk(&kind)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use lifecycle::ORDERED;
    use lifecycle::names::annotation;
    use serde_json::json;

    use super::*;
    use crate::fixtures::local;

    #[test]
    fn only_an_unconfirmed_deletion_needs_the_hub() {
        let mut add_on = local("shop");
        add_on.metadata.owner_references = Some(vec![OwnerReference {
            kind: "AppliedManifestWork".to_owned(),
            name: format!("{}-addon-shop-deploy-0", "a".repeat(64)),
            uid: "w1".to_owned(),
            ..OwnerReference::default()
        }]);
        let count = |add_on: &ManagedAddOn| {
            let add_ons = BTreeMap::from([("shop".to_owned(), Arc::new(add_on.clone()))]);
            unconfirmed_removals(&Arc::new(add_ons)).len()
        };
        assert_eq!(count(&add_on), 0);
        add_on.metadata.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH.into());
        assert_eq!(count(&add_on), 1);
        add_on.annotations_mut().insert(annotation::REMOVAL.to_owned(), ORDERED.to_owned());
        assert_eq!(count(&add_on), 0);
    }

    #[test]
    fn absence_is_no_order_and_an_add_on_that_another_work_holds_is_not_dropped() {
        use WorkState::{Deleting, DroppedAddOn, HoldsAddOn, NoProof};
        for (states, expected) in [
            (&[][..], false),
            (&[NoProof], false),
            (&[HoldsAddOn], false),
            (&[Deleting], true),
            (&[DroppedAddOn], true),
            (&[NoProof, DroppedAddOn], true),
            (&[DroppedAddOn, HoldsAddOn], false),
            (&[HoldsAddOn, Deleting], true),
        ] {
            assert_eq!(is_ordered(states), expected, "{states:?}");
        }
    }

    #[test]
    fn a_work_holds_the_add_on_of_the_same_kind_and_name() {
        let api = work_api("ManifestWork");
        let work = |manifests: Value| {
            DynamicObject::new("w", &api)
                .data(json!({"spec": {"workload": {"manifests": manifests}}}))
        };
        let shop = json!({"kind": "ManagedAddOn", "metadata": {"name": "shop"}});
        let other_kind = json!({"kind": "ConfigMap", "metadata": {"name": "shop"}});
        assert!(holds_add_on(&work(json!([other_kind, shop])), "shop"));
        for manifests in [json!([]), json!(null), json!([other_kind])] {
            assert!(!holds_add_on(&work(manifests), "shop"));
        }
    }

    #[test]
    fn the_name_of_a_record_ends_in_the_name_of_its_work() {
        let hash = "0f".repeat(32);
        assert_eq!(work_name(&format!("{hash}-addon-shop-deploy-0")), Some("addon-shop-deploy-0"));
        for other in ["", "shop", &hash, &format!("{hash}-"), &format!("{}-shop", "z".repeat(64))] {
            assert_eq!(work_name(other), None, "{other}");
        }
    }
}
