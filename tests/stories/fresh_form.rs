//! After any rollout an object is what a fresh install would make of it, whatever the API server set for earlier forms.

mod objects;

use anyhow::{Context, Result, ensure};
use lifecycle::Phase;
use serde_json::{Value, json};
use testbed::AddOn;
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};

use crate::harness::Shared;
use objects::objects;

const NAME: &str = "fresh-form";

/// Many objects change their form at once, in both directions. A second add-on has the same release as its first.
pub async fn after_an_upgrade_and_the_way_back_every_object_is_as_a_fresh_install_makes_it(
    shared: &Shared,
) -> Result<()> {
    let managed = shared.managed().await?;
    let add_on = managed.add_on(NAME);
    managed.plane.apply_yaml(DEFINITION).await?;
    add_on.assign(&spec(NAME, "1.0.0", Form::First, READY)).await?;
    add_on.until_available("1.0.0").await?;
    let before = uids(&add_on).await?;
    add_on.assign(&spec(NAME, "2.0.0", Form::Second, READY)).await?;
    add_on.until_available("2.0.0").await?;
    ensure_fresh(shared, &add_on, "fresh-second", Form::Second).await?;
    ensure!(uids(&add_on).await? == before, "an object was replaced");
    let failing = spec(NAME, "3.0.0", Form::First, NEVER_READY).policy("timeout", "3s");
    add_on.assign(&failing).await?;
    add_on.until_phase(Phase::RolledBack).await?;
    ensure_fresh(shared, &add_on, "fresh-second", Form::Second).await?;
    add_on.assign(&spec(NAME, "4.0.0", Form::First, READY)).await?;
    add_on.until_available("4.0.0").await?;
    ensure_fresh(shared, &add_on, "fresh-first", Form::First).await?;
    ensure!(uids(&add_on).await? == before, "an object was replaced");
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    First,
    Second,
}

fn spec(namespace: &str, version: &str, form: Form, image: &str) -> Spec {
    let mut bundle = Bundle::new().namespace(namespace);
    for (api_version, kind, name, forms) in objects() {
        let body = if form == Form::First { &forms.0 } else { &forms.1 };
        let body = body.to_string().replace("READY", image);
        let body: Value = serde_json::from_str(&body).expect("it was JSON");
        bundle = bundle.object(json!({
            "apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": body,
        }));
    }
    // A custom resource without status is awaited for long otherwise.
    let rule = json!([{"apiVersion": "fresh.example.com/v1", "kind": "Shape", "current": "true"}]);
    let bundle = bundle.config("settings", "a");
    Spec::inline(version, &bundle).namespace(namespace).with("health", rule)
}

/// Compares every object with the same one of an add-on that was installed in this form.
async fn ensure_fresh(shared: &Shared, add_on: &AddOn, other: &str, form: Form) -> Result<()> {
    let fresh = shared.managed().await?.add_on(other);
    fresh.assign(&spec(other, "1.0.0", form, READY)).await?;
    fresh.until_available("1.0.0").await?;
    let mut different = Vec::new();
    for (api_version, kind, name, _) in objects() {
        let read = async |add_on: &AddOn, namespace: &str| {
            let object = add_on.object(api_version, kind, namespace, name).await?;
            anyhow::Ok(without_allocated(object.context("missing")?["spec"].clone()))
        };
        let (living, fresh) = (read(add_on, NAME).await?, read(&fresh, other).await?);
        if living != fresh {
            different.push(format!("{kind} {name}: {living}\ninstead of {fresh}"));
        }
    }
    ensure!(different.is_empty(), "{}", different.join("\n"));
    Ok(())
}

fn without_allocated(mut spec: Value) -> Value {
    for name in ["clusterIP", "clusterIPs"] {
        if let Some(value) = spec.get_mut(name) {
            *value = json!("allocated");
        }
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.get_mut("nodePort") {
            *port = json!("allocated");
        }
    }
    spec
}

async fn uids(add_on: &AddOn) -> Result<Vec<Value>> {
    let mut uids = Vec::new();
    for (api_version, kind, name, _) in objects() {
        let object = add_on.object(api_version, kind, NAME, name).await?.context("missing")?;
        uids.push(object["metadata"]["uid"].clone());
    }
    Ok(uids)
}

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shapes.fresh.example.com}
spec:
  group: fresh.example.com
  scope: Namespaced
  names: {kind: Shape, plural: shapes, singular: shape, listKind: ShapeList}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            x-kubernetes-validations:
            - {rule: has(self.circle) != has(self.square), message: one of circle and square}
            properties:
              circle: {type: object, properties: {radius: {type: integer, default: 1}}}
              square: {type: object, properties: {side: {type: integer, default: 1}}}
";
