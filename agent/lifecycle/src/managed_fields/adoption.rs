//! Adoption of fields: those that the bundle sets become ours, and all others stay with who wrote them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::Value;

use super::entries::{give_us, is_ours, release, set_of};
use super::set::{enter, filter, is_leaf};
use super::{FieldSet, OUTSIDE};
use crate::object::Object;

/// Field managers that update objects to what manifests say: kubectl, Helm, Flux, Argo CD, OCM. By other names they write
/// what a person or a controller decided. Who applies (`Operation: Apply`) needs no name.
const APPLIERS: [&str; 12] = [
    "argocd-application-controller",
    "argocd-controller",
    "helm",
    "helm-controller",
    "kubectl",
    "kubectl-client-side-apply",
    "kubectl-create",
    "kubectl-last-applied",
    "kubectl-replace",
    "kustomize-controller",
    "manifestwork-agent",
    "work",
];

/// Maximum number of paths in a message.
const MAX_PATHS: usize = 5;

/// The owners of an adopted object's fields.
pub struct Adopted {
    /// The entries with ours.
    pub entries: Vec<ManagedFieldsEntry>,
    /// Of each manager that applies manifests, the paths that the bundle does not set.
    pub left: BTreeMap<String, Vec<String>>,
}

impl Adopted {
    /// Returns in words what was left to others, without values.
    pub fn describe_left(&self) -> Option<String> {
        let of_managers = self.left.iter().map(|(manager, paths)| {
            let shown = paths.iter().take(MAX_PATHS).cloned().collect::<Vec<_>>().join(", ");
            match paths.len().saturating_sub(MAX_PATHS) {
                0 => format!("{manager}: {shown}"),
                more => format!("{manager}: {shown} (and {more} more)"),
            }
        });
        let all = of_managers.collect::<Vec<_>>().join("; ");
        let text = format!("fields that the bundle does not set stay with their managers: {all}");
        (!all.is_empty()).then_some(text)
    }
}

/// Moves to us what the manifest sets and others applied. An update also owns the defaults that the API server set in it:
/// those that the `fresh` form has too get no owner, so that they can change with the manifest.
pub fn adopt(
    entries: &[ManagedFieldsEntry],
    living: &Object,
    manifest: &Object,
    fresh: Option<&Object>,
) -> Adopted {
    let mut taken = FieldSet::default();
    let (mut kept, mut left) = (Vec::new(), BTreeMap::new());
    for entry in entries {
        if !applies_manifests(entry) {
            kept.push(entry.clone());
            continue;
        }
        let mut rest = set_of(entry).without_value(&manifest.0);
        taken.add(&set_of(entry).without(&rest));
        if let Some(fresh) = fresh.filter(|_| is_update(entry)) {
            rest = rest.without(&defaults(&rest, living, fresh));
        }
        let manager = entry.manager.clone().unwrap_or_default();
        left.entry(manager).or_insert_with(Vec::new).extend(rest.paths());
        let rest = ManagedFieldsEntry { fields_v1: Some(FieldsV1(rest.0)), ..entry.clone() };
        kept.extend(release(rest, &FieldSet::default()));
    }
    left.retain(|_, paths| !paths.is_empty());
    Adopted { entries: give_us(&kept, &taken, manifest.api_version()), left }
}

fn applies_manifests(entry: &ManagedFieldsEntry) -> bool {
    let manager = entry.manager.as_deref().unwrap_or_default();
    entry.subresource.as_deref().is_none_or(str::is_empty)
        && !is_ours(entry)
        && (!is_update(entry) || APPLIERS.contains(&manager))
}

fn is_update(entry: &ManagedFieldsEntry) -> bool {
    entry.operation.as_deref() != Some("Apply")
}

/// Returns the fields of a set that the fresh form has with the same value.
fn defaults(set: &FieldSet, living: &Object, fresh: &Object) -> FieldSet {
    let inside = filter(&set.0, |name, below| {
        let is_inside = !OUTSIDE.contains(&name.trim_start_matches("f:"));
        let equal = || equal(below, enter(&living.0, name), enter(&fresh.0, name));
        is_inside.then(equal).flatten()
    });
    inside.map(FieldSet).unwrap_or_default()
}

fn equal(set: &Value, living: Option<&Value>, fresh: Option<&Value>) -> Option<Value> {
    let (living, fresh) = (living?, fresh?);
    if is_leaf(set) {
        return (living == fresh).then(|| set.clone());
    }
    filter(set, |name, below| match name.as_str() {
        "." => Some(below.clone()),
        name => equal(below, enter(living, name), enter(fresh, name)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::names::FIELD_MANAGER;

    fn entry(manager: &str, operation: &str, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    fn object(spec: Value) -> Object {
        Object(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}, "spec": spec}))
    }

    #[test]
    fn only_what_the_bundle_sets_is_taken_and_only_from_who_applies_manifests() {
        let spec = |fields: Value| json!({"f:spec": fields});
        let both = || spec(json!({"f:image": {}, "f:mode": {}, "f:paused": {}}));
        let living = object(json!({"image": "a", "mode": "default", "paused": true}));
        let fresh = object(json!({"image": "a", "mode": "default"}));
        let manifest = object(json!({"image": "a"}));
        let ours = || (FIELD_MANAGER, spec(json!({"f:image": {}})));
        let rest = |fields| spec(fields);
        let table = [
            ("helm", "Update", vec![ours(), ("helm", rest(json!({"f:paused": {}})))]),
            ("any", "Apply", vec![ours(), ("any", rest(json!({"f:mode": {}, "f:paused": {}})))]),
            ("kubectl-edit", "Update", vec![("kubectl-edit", both())]),
        ];
        for (manager, operation, expected) in table {
            let entries = [entry(manager, operation, both())];
            let adopted = adopt(&entries, &living, &manifest, Some(&fresh));
            let sets = adopted.entries.iter().map(|it| (it.manager.as_deref(), set_of(it).0));
            let expected = expected.into_iter().map(|(manager, set)| (Some(manager), set));
            assert_eq!(sets.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{manager}");
        }
    }

    #[test]
    fn the_fields_that_are_left_are_named_without_values() {
        let fields =
            json!({"f:data": {"f:a": {}, "f:b": {}, "f:c": {}, "f:d": {}, "f:e": {}, "f:f": {}}});
        let living = object(json!({}));
        let adopted = adopt(&[entry("helm", "Update", fields)], &living, &object(json!({})), None);
        let expected = "fields that the bundle does not set stay with their managers: \
             helm: data.a, data.b, data.c, data.d, data.e (and 1 more)";
        assert_eq!(adopted.describe_left().as_deref(), Some(expected));
    }
}
