//! Removal: which objects are removed when others are kept, in which order, and which stay.

use std::collections::BTreeSet;

use super::jobs::is_other_run;
use super::waves::Wave;
use crate::kind::KnownKind;
use crate::names::annotation::ALLOW_SHRINK;
use crate::object::{Object, ObjectKey};
use crate::reason::{Fault, Reason};

/// A bundle may lose fewer objects than this in any case.
const MIN_SHRINK: usize = 10;

/// Returns the objects of `known` to remove when only `kept` is to stay, the wave that was applied last first. An object that
/// a kept one depends on stays.
///
/// A Job that is in both with another pod template is removed: a rollback does not write Jobs, so the Job of the failed
/// version may still run.
pub fn removals(kept: &[Object], known: Vec<Object>) -> Vec<Object> {
    let keys: BTreeSet<ObjectKey> = kept.iter().map(Object::key).collect();
    let mut seen = BTreeSet::new();
    let mut removed: Vec<Object> = known
        .into_iter()
        .filter(|object| !keys.contains(&object.key()) || is_other_run(object, kept))
        .filter(|object| seen.insert(object.key()))
        .filter(|object| !kept.iter().any(|other| depends_on(&other.key(), object)))
        .collect();
    removed.sort_by_key(|object| std::cmp::Reverse(object.wave()));
    removed
}

/// Returns whether removing `base` would remove `object` with it: its namespace, or the definition of its kind.
pub fn depends_on(object: &ObjectKey, base: &Object) -> bool {
    let text = |pointer| base.0.pointer(pointer).and_then(|value| value.as_str());
    if base.is(KnownKind::Namespace) {
        return object.namespace.as_deref() == Some(base.name());
    }
    base.is(KnownKind::CustomResourceDefinition)
        && text("/spec/group") == Some(object.group.as_str())
        && text("/spec/names/kind") == Some(object.kind.as_str())
}

/// Returns the webhooks, policies and APIServices of a failed release that `kept` does not have. They are removed before a
/// rollback, because each could refuse its writes. One that both have stays, because others write into it, as a CA bundle.
pub fn withdrawals(kept: &[Object], known: Vec<Object>) -> Vec<Object> {
    let extensions = known.into_iter().filter(|object| object.wave() == Wave::Extensions);
    removals(kept, extensions.collect())
}

/// Rejects a bundle that lost more than half of its objects, and at least ten: that is more likely a mistake than intended.
/// `new` and `running` are numbers of objects.
///
/// # Errors
/// `BundleShrunk`.
pub fn reject_shrunk(new: usize, running: usize) -> Result<(), Fault> {
    let lost = running.saturating_sub(new);
    if lost < MIN_SHRINK || lost * 2 <= running {
        return Ok(());
    }
    Err(Fault::new(
        Reason::BundleShrunk,
        format!(
            "the bundle has {new} objects, the running version {running}; annotate the ManagedAddOn with \
             {ALLOW_SHRINK}: <version> if that is intended"
        ),
    ))
}

/// Contents of an object whose removal is guarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Number of foreign objects in a namespace, or of foreign instances of a definition.
    pub foreign: usize,
    /// What could not be read, such as `boxes.example.com`: it may hold foreign objects.
    pub unreadable: Vec<String>,
}

/// Returns why an object must not be removed: data or foreign objects would be lost. With `delete_data`, the annotation
/// `delete-data`, everything may be removed.
pub fn guard(object: &Object, contents: &Contents, delete_data: bool) -> Option<String> {
    let kind = KnownKind::of(object).filter(|_| !delete_data)?;
    let foreign = contents.foreign;
    if kind == KnownKind::Namespace && foreign > 0 {
        return Some(format!("{foreign} foreign objects are in it"));
    }
    if kind == KnownKind::CustomResourceDefinition && foreign > 0 {
        return Some(format!("{foreign} objects of its kind exist"));
    }
    if let [unreadable, ..] = contents.unreadable.as_slice() {
        return Some(format!("{unreadable} could not be read and may be foreign"));
    }
    kind.holds_data().then(|| "it holds data".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(api_version: &str, kind: &str, name: &str) -> Object {
        Object(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}))
    }

    #[test]
    fn what_was_applied_last_is_removed_first() {
        let known = vec![
            object("v1", "Namespace", "n"),
            object("v1", "ConfigMap", "kept"),
            object("apps/v1", "Deployment", "d"),
            object("apps/v1", "Deployment", "d"),
            object("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "w"),
        ];
        let removed = removals(&[object("v1", "ConfigMap", "kept")], known);
        let names: Vec<_> = removed.iter().map(Object::name).collect();
        assert_eq!(names, ["w", "d", "n"]);
    }

    #[test]
    fn an_object_that_a_kept_one_depends_on_stays() {
        let mut kept = object("example.com/v1", "Backend", "b");
        kept.set_namespace(Some("n"));
        let mut definition =
            object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "backends.example.com");
        definition.0["spec"] = json!({"group": "example.com", "names": {"kind": "Backend"}});
        let known =
            vec![object("v1", "Namespace", "n"), object("v1", "Namespace", "m"), definition];
        let removed = removals(&[kept], known);
        assert_eq!(removed.iter().map(Object::name).collect::<Vec<_>>(), ["m"]);
    }

    #[test]
    fn only_an_extension_that_the_old_version_does_not_have_is_withdrawn() {
        let webhook = |name: &str, policy: &str| {
            let api_version = "admissionregistration.k8s.io/v1";
            let mut webhook = object(api_version, "ValidatingWebhookConfiguration", name);
            webhook.0["webhooks"] = json!([{"name": "x", "failurePolicy": policy}]);
            webhook
        };
        let kept = [webhook("w", "Ignore")];
        assert!(withdrawals(&kept, vec![webhook("w", "Fail")]).is_empty());
        assert_eq!(withdrawals(&kept, vec![webhook("other", "Fail")]).len(), 1);
        assert!(withdrawals(&kept, vec![object("v1", "ConfigMap", "c")]).is_empty());
    }

    #[test]
    fn a_sharply_shrunk_bundle_is_rejected() {
        for (running, new, is_rejected) in
            [(20, 9, true), (20, 10, false), (18, 9, false), (9, 0, false), (100, 49, true)]
        {
            assert_eq!(reject_shrunk(new, running).is_err(), is_rejected, "{running} to {new}");
        }
    }

    #[test]
    fn what_holds_data_stays_unless_its_deletion_is_requested() {
        let claim = object("v1", "PersistentVolumeClaim", "c");
        let namespace = object("v1", "Namespace", "n");
        assert!(guard(&claim, &Contents::default(), false).is_some());
        assert!(guard(&claim, &Contents::default(), true).is_none());
        assert!(guard(&namespace, &Contents::default(), false).is_none());
        assert!(
            guard(&namespace, &Contents { foreign: 2, ..Contents::default() }, false).is_some()
        );
        let unreadable =
            Contents { unreadable: vec!["v1.example.com".to_owned()], ..Contents::default() };
        let reason = guard(&namespace, &unreadable, false).unwrap_or_default();
        assert_eq!(reason, "v1.example.com could not be read and may be foreign");
    }
}
