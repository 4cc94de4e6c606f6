//! One row per rule: what is known before the first write, and what is found about a rollback.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::safety::MAX_KEPT;
use super::*;
use crate::names::annotation;
use crate::object::Object;

fn object(api_version: &str, kind: &str, name: &str, spec: Value) -> Object {
    Object(
        json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}),
    )
}

fn definition(stored: &str, versions: &[&str], fields: Value) -> Object {
    let version = |name: &&str| {
        let spec = json!({"type": "object", "properties": fields});
        let schema = json!({"type": "object", "properties": {"spec": spec}});
        json!({"name": name, "served": true, "storage": *name == stored, "schema": {"openAPIV3Schema": schema}})
    };
    let spec = json!({
        "group": "example.com", "scope": "Cluster", "names": {"kind": "Backend", "plural": "backends"},
        "versions": versions.iter().map(version).collect::<Vec<_>>(),
    });
    object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "backends.example.com", spec)
}

fn claim(size: &str) -> Object {
    object(
        "v1",
        "PersistentVolumeClaim",
        "data",
        json!({"resources": {"requests": {"storage": size}}}),
    )
}

fn deployment(image: &str) -> Object {
    let pod = json!({"containers": [{"name": "main", "image": image}]});
    object("apps/v1", "Deployment", "web", json!({"template": {"spec": pod}}))
}

fn nodes(images: &[&[&str]]) -> NodeImages {
    let node = |images: &&[&str]| {
        let images: Vec<_> = images.iter().map(|name| json!({"names": [name]})).collect();
        Object(json!({"kind": "Node", "metadata": {"name": "n"}, "status": {"images": images}}))
    };
    NodeImages::read(&images.iter().map(node).collect::<Vec<_>>())
}

/// Returns status and message of the condition.
fn check(
    running: &[Object],
    target: &[Object],
    instances: Option<Instances>,
    nodes: &NodeImages,
) -> String {
    let instances = instances.map(|known| ("backends.example.com".to_owned(), known));
    let instances: BTreeMap<_, _> = instances.into_iter().collect();
    let safety = judge_rollback(&RollbackContext {
        running: Some(running),
        target,
        instances: &instances,
        adopted: &[],
        unserved: &[],
        nodes,
    });
    format!("{}: {}", safety.status(), safety.message())
}

const SAFE: &str = "True: no known reason why a rollback would not work";

#[test]
fn definitions_are_judged_by_what_a_rollback_would_narrow() {
    let nothing = json!({});
    let field = json!({"a": {"type": "string"}});
    let plain = || definition("v1", &["v1"], nothing.clone());
    let moved = || definition("v2", &["v1", "v2"], nothing.clone());
    let both = || definition("v1", &["v1", "v2"], nothing.clone());
    let wider = || definition("v1", &["v1"], field.clone());
    let stuck = "CustomResourceDefinition backends.example.com would store its objects as v2, which the \
                 running version cannot read; it would stay as it is";
    let may_stay = "Unknown: CustomResourceDefinition backends.example.com would stay as it is if its objects need \
                    what only the new version has";
    let exist = Some(Instances::Exist);
    let (none, unknown) = (Some(Instances::None), Some(Instances::Unknown));
    for (old, new, instances, expected) in [
        (plain(), plain(), exist, SAFE.to_owned()),
        (plain(), moved(), exist, format!("False: {stuck}")),
        // Refused from the first moment on, with and without objects.
        (plain(), moved(), unknown, format!("False: {stuck}")),
        (plain(), moved(), none, format!("False: {stuck}")),
        // Both versions are known to both: it can be stored as before again.
        (both(), moved(), exist, format!("{may_stay} (objects are stored as v1 instead of v2)")),
        (plain(), wider(), exist, format!("{may_stay} (spec.a is gone)")),
        (plain(), wider(), none, SAFE.to_owned()),
        (wider(), plain(), exist, SAFE.to_owned()),
    ] {
        assert_eq!(check(&[old], &[new], instances, &NodeImages::Unknown), expected);
    }
    let instance = object("example.com/v1", "Backend", "b", json!({}));
    let target = [moved(), instance];
    assert_eq!(check(&[plain()], &target, None, &NodeImages::Unknown), format!("False: {stuck}"));
    assert_eq!(narrowed_definitions(&[plain()], &[moved()]).len(), 1);
    assert!(narrowed_definitions(&[plain()], &[plain()]).is_empty());
}

#[test]
fn a_claim_that_grows_is_a_blocker() {
    let check =
        |running, target| check(&[claim(running)], &[claim(target)], None, &NodeImages::Unknown);
    assert_eq!(check("1Gi", "1Gi"), SAFE);
    let grown = "False: PersistentVolumeClaim data requests another size, and a claim that has grown cannot shrink";
    assert_eq!(check("1Gi", "2Gi"), grown);
}

#[test]
fn images_of_the_running_release_are_expected_on_every_node_that_takes_pods() {
    let unknown =
        "Unknown: image docker.io/library/web:1 may have to be pulled again for a rollback";
    let present: &[&str] = &["docker.io/library/web:1"];
    for (image, nodes, expected) in [
        ("web:1", nodes(&[present, present]), SAFE),
        ("docker.io/library/web:1", nodes(&[present]), SAFE),
        ("web:1", nodes(&[present, &[]]), unknown),
        ("web:1", nodes(&[]), unknown),
        ("web:1", NodeImages::Unknown, unknown),
        // The new version needs it as well.
        ("web:2", NodeImages::Unknown, SAFE),
        (
            "web",
            nodes(&[&["docker.io/library/web:latest"]]),
            "Unknown: image docker.io/library/web:latest may have to be pulled again for a rollback",
        ),
        ("r.example.com:5000/web@sha256:0", nodes(&[&["r.example.com:5000/web@sha256:0"]]), SAFE),
    ] {
        assert_eq!(
            check(&[deployment(image)], &[deployment("web:2")], None, &nodes),
            expected,
            "{image}"
        );
    }
    let job = object(
        "batch/v1",
        "Job",
        "j",
        json!({"template": {"spec": {"containers": [{"image": "j:1"}]}}}),
    );
    assert_eq!(check(&[job], &[], None, &NodeImages::Unknown), SAFE, "a Job is not run again");
}

#[test]
fn a_hook_before_the_upgrade_may_write_what_cannot_be_undone() {
    let hook = |moment: &str| {
        let mut job = object("batch/v1", "Job", "migrate", json!({}));
        job.set_annotation(annotation::HOOK, moment);
        job
    };
    let unknown =
        "Unknown: Job migrate runs before the upgrade and may write what a rollback cannot undo";
    assert_eq!(check(&[], &[hook("pre-upgrade")], None, &NodeImages::Unknown), unknown);
    assert_eq!(check(&[], &[hook("verify")], None, &NodeImages::Unknown), SAFE);
}

#[test]
fn the_earlier_fields_of_an_adopted_object_are_unknown() {
    let (instances, nodes, target) = (BTreeMap::new(), NodeImages::Unknown, [claim("1Gi")]);
    let safety = judge_rollback(&RollbackContext {
        running: Some(&[]),
        target: &target,
        instances: &instances,
        adopted: &[target[0].key()],
        unserved: &[],
        nodes: &nodes,
    });
    assert_eq!(safety.status(), "Unknown");
    assert!(safety.message().starts_with("PersistentVolumeClaim data existed before"));
}

#[test]
fn a_rollback_needs_the_running_release() {
    let (instances, nodes) = (BTreeMap::new(), NodeImages::Unknown);
    let context = RollbackContext {
        running: None,
        target: &[],
        instances: &instances,
        adopted: &[],
        unserved: &[],
        nodes: &nodes,
    };
    assert_eq!(judge_rollback(&context).status(), "False");
}

#[test]
fn the_number_of_kept_blockers_is_bounded() {
    let running: Vec<Object> = (0..100)
        .map(|n| object("v1", "PersistentVolumeClaim", &format!("c{n}"), json!({})))
        .collect();
    let target: Vec<Object> = (0..100)
        .map(|n| {
            Object({
                let mut c = claim("1Gi").0;
                c["metadata"]["name"] = json!(format!("c{n}"));
                c
            })
        })
        .collect();
    let (instances, nodes) = (BTreeMap::new(), NodeImages::Unknown);
    let safety = judge_rollback(&RollbackContext {
        running: Some(&running),
        target: &target,
        instances: &instances,
        adopted: &[],
        unserved: &[],
        nodes: &nodes,
    });
    assert_eq!(safety.blockers.len(), MAX_KEPT);
}

#[test]
fn an_object_of_a_version_that_is_not_served_any_more_is_a_blocker() {
    let old = [object("policy/v1beta1", "PodDisruptionBudget", "web", json!({}))];
    let safety = judge_rollback(&RollbackContext {
        running: Some(&old),
        target: &[],
        instances: &BTreeMap::new(),
        adopted: &[],
        unserved: &old,
        nodes: &nodes(&[]),
    });
    assert_eq!(safety.status(), "False");
    assert!(safety.message().contains("policy/v1beta1"), "{}", safety.message());
}
