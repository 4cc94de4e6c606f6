//! In which order objects are written and removed, and which removals are not made.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::VariantArray;

use crate::bundle::hook::Hook;
use crate::bundle::release::Release;
use crate::names::{GROUP, annotation, label};
use crate::object::{Object, ObjectKey};
use crate::reason::{Fault, Reason};

/// Steps of applying, in order. Each is finished before the next begins.
#[derive(
    Serialize, Deserialize, VariantArray, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord,
)]
#[serde(rename_all = "camelCase")]
pub enum Wave {
    Namespaces,
    /// Until each is Established.
    Definitions,
    /// Roles and accounts: bindings can only be written once what they name is there.
    Roles,
    /// Bindings, configuration, services, volumes.
    Configuration,
    Workloads,
    CustomResources,
    /// Admission webhooks and APIServices: what they point at is there by then.
    Extensions,
}

impl Wave {
    /// Every wave, in the order of applying.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The wave after this one; `None` after the last.
    pub fn next(self) -> Option<Wave> {
        let mut waves = Wave::ALL.iter().copied();
        waves.find(|wave| *wave == self)?;
        waves.next()
    }

    pub fn of(group: &str, kind: &str) -> Wave {
        match (group, kind) {
            ("", "Namespace") => Wave::Namespaces,
            ("apiextensions.k8s.io", _) => Wave::Definitions,
            ("admissionregistration.k8s.io" | "apiregistration.k8s.io", _) => Wave::Extensions,
            ("rbac.authorization.k8s.io", "Role" | "ClusterRole") | ("", "ServiceAccount") => {
                Wave::Roles
            }
            ("apps" | "batch", _)
            | ("autoscaling", "HorizontalPodAutoscaler")
            | ("", "Pod" | "ReplicationController") => Wave::Workloads,
            _ if is_built_in(group) => Wave::Configuration,
            _ => Wave::CustomResources,
        }
    }
}

pub(crate) fn is_built_in(group: &str) -> bool {
    matches!(
        group,
        "" | "apps"
            | "batch"
            | "autoscaling"
            | "policy"
            | "rbac.authorization.k8s.io"
            | "networking.k8s.io"
            | "storage.k8s.io"
            | "scheduling.k8s.io"
            | "coordination.k8s.io"
            | "discovery.k8s.io"
            | "node.k8s.io"
            | "flowcontrol.apiserver.k8s.io"
            | "admissionregistration.k8s.io"
            | "certificates.k8s.io"
            | "resource.k8s.io"
            | "events.k8s.io"
    )
}

/// Kinds whose living objects may be deleted and created anew when a field of theirs cannot be changed:
/// nothing is lost by it.
pub fn is_replaceable(object: &Object) -> bool {
    match (object.group(), object.kind()) {
        ("batch", "Job")
        | ("", "ConfigMap" | "Secret")
        | ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding")
        | ("storage.k8s.io", "StorageClass")
        | ("apps", "DaemonSet") => true,
        ("apps", "Deployment") => !contradicts_itself(object),
        ("", "Service") => {
            object.0.pointer("/spec/type").and_then(|t| t.as_str()) != Some("LoadBalancer")
        }
        _ => false,
    }
}

/// It is refused for what it says itself, which replacing it would not change.
fn contradicts_itself(deployment: &Object) -> bool {
    let says = |pointer| deployment.0.pointer(pointer).filter(|value| !value.is_null());
    says("/spec/strategy/type").is_some_and(|kind| kind == "Recreate")
        && says("/spec/strategy/rollingUpdate").is_some()
}

pub fn is_job(object: &Object) -> bool {
    (object.group(), object.kind()) == ("batch", "Job")
}

/// The version that runs has brought this very Job: it ran then, and when it is gone it is not run again.
pub fn has_run(job: &Object, running: &[Object]) -> bool {
    let same = |other: &Object| {
        Hook::of(other).is_none()
            && other.key() == job.key()
            && other.0.get("spec") == job.0.get("spec")
    };
    is_job(job) && running.iter().any(same)
}

/// What goes when only `kept` is to stay: everything of `known` that is not in it and that nothing in it stands on,
/// last applied first. A Job that is in both, but another, is to go if it is the one that lives: going back does not write
/// Jobs, so one of the version that failed may still run.
pub fn removals(kept: &[Object], known: Vec<Object>) -> Vec<Object> {
    let keys: BTreeSet<ObjectKey> = kept.iter().map(Object::key).collect();
    let mut seen = BTreeSet::new();
    let mut gone: Vec<Object> = known
        .into_iter()
        .filter(|object| !keys.contains(&object.key()) || is_another_job(object, kept))
        .filter(|object| seen.insert(object.key()))
        .filter(|object| !kept.iter().any(|other| stands_on(other, object)))
        .collect();
    gone.sort_by_key(|object| std::cmp::Reverse(Wave::of(object.group(), object.kind())));
    gone
}

fn is_another_job(job: &Object, kept: &[Object]) -> bool {
    let template = |job: &Object| job.0.pointer("/spec/template").cloned();
    // It cannot be changed, so the same template is the same run, whatever else was changed of it.
    let same = |other: &Object| other.key() == job.key() && template(other) == template(job);
    is_job(job) && Hook::of(job).is_none() && !kept.iter().any(same)
}

/// Removing `ground` would take `object` with it: its namespace, or the definition of its kind.
fn stands_on(object: &Object, ground: &Object) -> bool {
    let text = |pointer| ground.0.pointer(pointer).and_then(|value| value.as_str());
    match (ground.group(), ground.kind()) {
        ("", "Namespace") => object.namespace() == Some(ground.name()),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            text("/spec/group") == Some(object.group())
                && text("/spec/names/kind") == Some(object.kind())
        }
        _ => false,
    }
}

/// Webhooks and APIServices of a failed release that `kept` has not, or has otherwise: each could refuse the way back.
pub fn withdrawals(kept: &[Object], known: Vec<Object>) -> Vec<Object> {
    let known = known.into_iter().filter(|object| {
        Wave::of(object.group(), object.kind()) == Wave::Extensions
            && !kept.iter().any(|other| same_but_for_stamp(other, object))
    });
    removals(&[], known.collect())
}

fn same_but_for_stamp(one: &Object, other: &Object) -> bool {
    let bare = |object: &Object| {
        let mut object = object.clone();
        for marks in ["/metadata/labels", "/metadata/annotations"] {
            if let Some(marks) = object.0.pointer_mut(marks).and_then(|m| m.as_object_mut()) {
                marks.retain(|name, _| !STAMP.contains(&name.as_str()));
            }
        }
        object
    };
    bare(one) == bare(other)
}

/// Refuses a webhook that could refuse the agent's own ledger: nothing could then be undone any more.
pub fn refuse_lock_out(object: &Object) -> Result<(), Fault> {
    if object.group() != "admissionregistration.k8s.io" {
        return Ok(());
    }
    let list = |value: &Value, field: &str| -> Vec<Value> {
        value.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let locks = |webhook: &Value| {
        let fails = webhook.get("failurePolicy").and_then(Value::as_str) != Some("Ignore");
        fails && list(webhook, "rules").iter().any(matches_ledger)
    };
    match list(&object.0, "webhooks").iter().find(|webhook| locks(webhook)) {
        None => Ok(()),
        Some(webhook) => Err(Fault::new(
            Reason::InvalidObject,
            format!(
                "{}: webhook {} could refuse the agent's own ledger; leave {GROUP} out of its rules or set \
                 failurePolicy to Ignore",
                object.key(),
                webhook.get("name").and_then(Value::as_str).unwrap_or_default()
            ),
        )),
    }
}

/// `ManagedAddOn`s are cluster-scoped, so that no selector of namespaces leaves them out.
fn matches_ledger(rule: &Value) -> bool {
    let has = |field: &str, any: &[&str]| {
        let words = rule.get(field).and_then(Value::as_array).into_iter().flatten();
        words.filter_map(Value::as_str).any(|word| any.contains(&word))
    };
    rule.get("scope").and_then(Value::as_str) != Some("Namespaced")
        && has("apiGroups", &["*", GROUP])
        && has("operations", &["*", "CREATE", "UPDATE", "DELETE"])
        && has(
            "resources",
            &["*", "*/*", "*/status", "managedaddons", "managedaddons/*", "managedaddons/status"],
        )
}

/// A pod as a workload makes it; none where it makes none now.
pub fn pod_of(workload: &Object) -> Option<Value> {
    let of_workloads = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"];
    if workload.group() != "apps" || !of_workloads.contains(&workload.kind()) {
        return None;
    }
    if workload.0.pointer("/spec/replicas") == Some(&Value::from(0)) {
        return None;
    }
    let template = workload.0.pointer("/spec/template").filter(|it| it.is_object())?;
    let mut pod = template.clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    if !pod["metadata"].is_object() {
        pod["metadata"] = Value::Object(serde_json::Map::new());
    }
    Some(pod)
}

/// Namespace and name of the services that answer for a webhook configuration.
pub fn services_of(object: &Object) -> BTreeSet<(String, String)> {
    if object.group() != "admissionregistration.k8s.io" {
        return BTreeSet::new();
    }
    let webhooks = object.0.get("webhooks").and_then(Value::as_array).into_iter().flatten();
    let services = webhooks.filter_map(|webhook| {
        let text = |field: &str| {
            let service = webhook.pointer("/clientConfig/service")?;
            service.get(field)?.as_str().map(str::to_owned)
        };
        Some((text("namespace")?, text("name")?))
    });
    services.collect()
}

/// Refuses a bundle that lost more than half of its objects, and at least ten: likelier a mistake than a wish.
pub fn refuse_shrunk(now: usize, before: usize) -> Result<(), Fault> {
    let lost = before.saturating_sub(now);
    if lost < 10 || lost * 2 <= before {
        return Ok(());
    }
    Err(Fault::new(
        Reason::BundleShrunk,
        format!(
            "the bundle has {now} objects, the running version {before}; annotate the ManagedAddOn with \
             lifecycle.open-cluster-management.io/allow-shrink: <version> if that is meant"
        ),
    ))
}

/// What a look at the living object told, for the kinds where removal is guarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Objects in the namespace that are not this add-on's, or instances of the definition.
    pub others: usize,
}

/// Whether removing this object would lose what the add-on did not bring: the words to say so.
pub fn guard(object: &Object, holds: &Contents, delete_data: bool) -> Option<String> {
    if delete_data {
        return None;
    }
    match (object.group(), object.kind()) {
        ("", "PersistentVolumeClaim" | "PersistentVolume") => Some("it holds data".to_owned()),
        ("", "Namespace") if holds.others > 0 => {
            Some(format!("{} objects of others are in it", holds.others))
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") if holds.others > 0 => {
            Some(format!("{} objects of its kind exist", holds.others))
        }
        _ => None,
    }
}

/// What an object's stamp says.
pub struct Stamp<'a> {
    pub add_on: &'a str,
    pub release: &'a Release,
}

/// What a stamp is made of.
const STAMP: [&str; 4] = [label::ADD_ON, label::RELEASE, annotation::VERSION, annotation::DIGEST];

impl Stamp<'_> {
    /// Marks an object as this add-on's.
    pub fn put(&self, object: &mut Object) {
        object.mark("labels", label::ADD_ON, self.add_on);
        object.mark("labels", label::RELEASE, self.release.id.short());
        object.mark("annotations", annotation::VERSION, &self.release.version.to_string());
        object.mark("annotations", annotation::DIGEST, &self.release.digest);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(api_version: &str, kind: &str, name: &str) -> Object {
        Object(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}))
    }

    #[test]
    fn every_kind_has_its_stage() {
        for (group, kind, stage) in [
            ("", "Namespace", Wave::Namespaces),
            ("apiextensions.k8s.io", "CustomResourceDefinition", Wave::Definitions),
            ("", "ConfigMap", Wave::Configuration),
            ("rbac.authorization.k8s.io", "ClusterRole", Wave::Roles),
            ("rbac.authorization.k8s.io", "ClusterRoleBinding", Wave::Configuration),
            ("apps", "Deployment", Wave::Workloads),
            ("batch", "Job", Wave::Workloads),
            ("example.com", "Backend", Wave::CustomResources),
            ("snapshot.storage.k8s.io", "VolumeSnapshotClass", Wave::CustomResources),
            ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", Wave::Extensions),
            ("apiregistration.k8s.io", "APIService", Wave::Extensions),
        ] {
            assert_eq!(Wave::of(group, kind), stage, "{group} {kind}");
        }
    }

    #[test]
    fn a_job_has_run_when_the_running_version_brought_the_same() {
        let job = |spec: Value| {
            let mut job = object("batch/v1", "Job", "j");
            job.0["spec"] = spec;
            job
        };
        let mut same = job(json!({"a": 1}));
        same.mark("labels", label::RELEASE, "older");
        let mut hook = same.clone();
        hook.mark("annotations", annotation::HOOK, "pre-upgrade");
        let mut elsewhere = same.clone();
        elsewhere.set_namespace(Some("n"));
        for (running, ran) in
            [(same.clone(), true), (job(json!({"a": 2})), false), (hook, false), (elsewhere, false)]
        {
            assert_eq!(
                has_run(&job(json!({"a": 1})), std::slice::from_ref(&running)),
                ran,
                "{running:?}"
            );
        }
        let mut map = object("v1", "ConfigMap", "j");
        map.0["spec"] = json!({"a": 1});
        assert!(!has_run(&map, &[map.clone()]), "only Jobs run");
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
        let gone = removals(&[object("v1", "ConfigMap", "kept")], known);
        let names: Vec<_> = gone.iter().map(Object::name).collect();
        assert_eq!(names, ["w", "d", "n"]);
    }

    #[test]
    fn what_a_kept_object_stands_on_stays() {
        let mut kept = object("example.com/v1", "Backend", "b");
        kept.set_namespace(Some("n"));
        let mut definition =
            object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "backends.example.com");
        definition.0["spec"] = json!({"group": "example.com", "names": {"kind": "Backend"}});
        let known =
            vec![object("v1", "Namespace", "n"), object("v1", "Namespace", "m"), definition];
        let gone = removals(&[kept], known);
        assert_eq!(gone.iter().map(Object::name).collect::<Vec<_>>(), ["m"]);
    }

    fn webhook(policy: &str, rule: Value) -> Object {
        let mut object =
            object("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "w");
        object.0["webhooks"] = json!([{"name": "x", "failurePolicy": policy, "rules": [rule]}]);
        object
    }

    #[test]
    fn a_webhook_that_differs_is_withdrawn_and_one_that_is_the_same_stays() {
        let rule = json!({"apiGroups": ["apps"]});
        let mut old = webhook("Ignore", rule.clone());
        old.mark("labels", label::RELEASE, "old");
        let mut same = webhook("Ignore", rule.clone());
        same.mark("labels", label::RELEASE, "new");
        assert!(withdrawals(std::slice::from_ref(&old), vec![same]).is_empty());
        assert_eq!(withdrawals(&[old], vec![webhook("Fail", rule)]).len(), 1);
    }

    #[test]
    fn a_webhook_must_not_lock_the_agent_out() {
        let rule = |groups: &str, resources: &str| json!({"apiGroups": [groups], "resources": [resources], "operations": ["*"]});
        for (policy, rule, refused) in [
            ("Fail", rule("*", "*"), true),
            ("Fail", rule(GROUP, "managedaddons/status"), true),
            ("Ignore", rule("*", "*"), false),
            ("Fail", rule("apps", "*"), false),
            ("Fail", rule("*", "pods"), false),
        ] {
            assert_eq!(refuse_lock_out(&webhook(policy, rule.clone())).is_err(), refused, "{rule}");
        }
    }

    #[test]
    fn a_workloads_pod_is_its_template() {
        let pod = |kind: &str, replicas: u32| {
            let mut workload = object("apps/v1", kind, "w");
            workload.0["spec"] =
                json!({"replicas": replicas, "template": {"spec": {"containers": []}}});
            pod_of(&workload)
        };
        let made =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {"containers": []}});
        assert_eq!(pod("Deployment", 1), Some(made));
        assert_eq!(pod("Deployment", 0), None);
        assert_eq!(pod("ControllerRevision", 1), None);
        assert_eq!(pod_of(&object("apps/v1", "Deployment", "without-spec")), None);
    }

    #[test]
    fn the_services_of_a_webhook_are_named() {
        let mut hook = webhook("Fail", json!({}));
        hook.0["webhooks"][0]["clientConfig"] = json!({"service": {"namespace": "n", "name": "s"}});
        assert_eq!(services_of(&hook), BTreeSet::from([("n".to_owned(), "s".to_owned())]));
        hook.0["webhooks"][0]["clientConfig"] = json!({"url": "https://example.com"});
        assert!(services_of(&hook).is_empty());
    }

    #[test]
    fn a_sharply_shrunk_bundle_is_refused() {
        for (before, now, refused) in
            [(20, 9, true), (20, 10, false), (18, 9, false), (9, 0, false), (100, 49, true)]
        {
            assert_eq!(refuse_shrunk(now, before).is_err(), refused, "{before} to {now}");
        }
    }

    #[test]
    fn what_holds_data_stays_unless_asked() {
        let claim = object("v1", "PersistentVolumeClaim", "c");
        let namespace = object("v1", "Namespace", "n");
        assert!(guard(&claim, &Contents::default(), false).is_some());
        assert!(guard(&claim, &Contents::default(), true).is_none());
        assert!(guard(&namespace, &Contents { others: 0 }, false).is_none());
        assert!(guard(&namespace, &Contents { others: 2 }, false).is_some());
    }
}
