//! One row a rule: what is known before the first write, and what is said of going back.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::names::annotation;

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

fn nodes(images: &[&[&str]]) -> Nodes {
    let node = |images: &&[&str]| {
        let images: Vec<_> = images.iter().map(|name| json!({"names": [name]})).collect();
        Object(json!({"kind": "Node", "metadata": {"name": "n"}, "status": {"images": images}}))
    };
    Nodes::read(&images.iter().map(node).collect::<Vec<_>>())
}

fn said(from: &[Object], target: &[Object], inhabited: Option<Inhabited>, nodes: &Nodes) -> String {
    let inhabited = inhabited.map(|how| ("backends.example.com".to_owned(), how));
    let inhabited: BTreeMap<_, _> = inhabited.into_iter().collect();
    let safety = judge(&RollbackContext {
        from: Some(from),
        target,
        inhabited: &inhabited,
        taken_over: &[],
        unserved: &[],
        nodes,
    });
    format!("{}: {}", safety.status(), safety.message())
}

const SAFE: &str = "True: no known reason why a rollback would not work";

#[test]
fn definitions_are_judged_by_what_going_back_would_narrow() {
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
    let (yes, no, untold) = (Some(Inhabited::Yes), Some(Inhabited::No), Some(Inhabited::Untold));
    for (old, new, inhabited, wanted) in [
        (plain(), plain(), yes, SAFE.to_owned()),
        (plain(), moved(), yes, format!("False: {stuck}")),
        // Refused from the first moment on, whatever there is.
        (plain(), moved(), untold, format!("False: {stuck}")),
        (plain(), moved(), no, format!("False: {stuck}")),
        // Both versions are known to both: it can be stored as before again.
        (both(), moved(), yes, format!("{may_stay} (objects are stored as v1 instead of v2)")),
        (plain(), wider(), yes, format!("{may_stay} (spec.a is gone)")),
        (plain(), wider(), no, SAFE.to_owned()),
        (wider(), plain(), yes, SAFE.to_owned()),
    ] {
        assert_eq!(said(&[old], &[new], inhabited, &Nodes::Untold), wanted);
    }
    let brought = object("example.com/v1", "Backend", "b", json!({}));
    let target = [moved(), brought];
    assert_eq!(said(&[plain()], &target, None, &Nodes::Untold), format!("False: {stuck}"));
    assert_eq!(definitions_in_doubt(&[plain()], &[moved()]).len(), 1);
    assert!(definitions_in_doubt(&[plain()], &[plain()]).is_empty());
}

#[test]
fn a_claim_that_grows_cannot_be_put_back() {
    let said = |from, target| said(&[claim(from)], &[claim(target)], None, &Nodes::Untold);
    assert_eq!(said("1Gi", "1Gi"), SAFE);
    let grown = "False: PersistentVolumeClaim data requests another size, and a claim that has grown cannot shrink";
    assert_eq!(said("1Gi", "2Gi"), grown);
}

#[test]
fn images_of_what_runs_are_looked_for_on_every_node_that_takes_pods() {
    let untold =
        "Unknown: image docker.io/library/web:1 may have to be pulled again for a rollback";
    let here: &[&str] = &["docker.io/library/web:1"];
    for (image, nodes, wanted) in [
        ("web:1", nodes(&[here, here]), SAFE),
        ("docker.io/library/web:1", nodes(&[here]), SAFE),
        ("web:1", nodes(&[here, &[]]), untold),
        ("web:1", nodes(&[]), untold),
        ("web:1", Nodes::Untold, untold),
        // The new version needs it as well.
        ("web:2", Nodes::Untold, SAFE),
        (
            "web",
            nodes(&[&["docker.io/library/web:latest"]]),
            "Unknown: image docker.io/library/web:latest may have to be pulled again for a rollback",
        ),
        ("r.example.com:5000/web@sha256:0", nodes(&[&["r.example.com:5000/web@sha256:0"]]), SAFE),
    ] {
        assert_eq!(
            said(&[deployment(image)], &[deployment("web:2")], None, &nodes),
            wanted,
            "{image}"
        );
    }
    let job = object(
        "batch/v1",
        "Job",
        "j",
        json!({"template": {"spec": {"containers": [{"image": "j:1"}]}}}),
    );
    assert_eq!(said(&[job], &[], None, &Nodes::Untold), SAFE, "a Job is not run again");
}

#[test]
fn a_hook_before_the_upgrade_may_write_what_cannot_be_undone() {
    let hook = |when: &str| {
        let mut job = object("batch/v1", "Job", "migrate", json!({}));
        job.set_annotation(annotation::HOOK, when);
        job
    };
    let unknown =
        "Unknown: Job migrate runs before the upgrade and may write what a rollback cannot undo";
    assert_eq!(said(&[], &[hook("pre-upgrade")], None, &Nodes::Untold), unknown);
    assert_eq!(said(&[], &[hook("verify")], None, &Nodes::Untold), SAFE);
}

#[test]
fn what_is_taken_over_is_not_put_back_as_it_was() {
    let (inhabited, nodes, target) = (BTreeMap::new(), Nodes::Untold, [claim("1Gi")]);
    let safety = judge(&RollbackContext {
        from: Some(&[]),
        target: &target,
        inhabited: &inhabited,
        taken_over: &[target[0].key()],
        unserved: &[],
        nodes: &nodes,
    });
    assert_eq!(safety.status(), "Unknown");
    assert!(safety.message().starts_with("PersistentVolumeClaim data existed before"));
}

#[test]
fn without_the_release_that_runs_there_is_no_way_back() {
    let (inhabited, nodes) = (BTreeMap::new(), Nodes::Untold);
    let prospect = RollbackContext {
        from: None,
        target: &[],
        inhabited: &inhabited,
        taken_over: &[],
        unserved: &[],
        nodes: &nodes,
    };
    assert_eq!(judge(&prospect).status(), "False");
}

#[test]
fn what_is_kept_of_a_judgement_is_bounded() {
    let from: Vec<Object> = (0..100)
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
    let (inhabited, nodes) = (BTreeMap::new(), Nodes::Untold);
    let safety = judge(&RollbackContext {
        from: Some(&from),
        target: &target,
        inhabited: &inhabited,
        taken_over: &[],
        unserved: &[],
        nodes: &nodes,
    });
    assert_eq!(safety.blockers.len(), MAX_KEPT);
}

#[test]
fn what_is_of_a_version_that_is_not_served_any_more_stands_in_the_way() {
    let old = [object("policy/v1beta1", "PodDisruptionBudget", "web", json!({}))];
    let safety = judge(&RollbackContext {
        from: Some(&old),
        target: &[],
        inhabited: &BTreeMap::new(),
        taken_over: &[],
        unserved: &old,
        nodes: &nodes(&[]),
    });
    assert_eq!(safety.status(), "False");
    assert!(safety.message().contains("policy/v1beta1"), "{}", safety.message());
}
