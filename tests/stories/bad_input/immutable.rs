//! Changes of immutable fields: rejected where data could be lost, otherwise the object is replaced.

use anyhow::{Context, Result, ensure};
use lifecycle::Reason;
use serde_json::{Value, json};
use testbed::bundle::{Bundle, JOB, READY, Spec};
use testbed::wait::until;

use super::running_add_on::{NEW, RunningAddOn, uid, working_bundle};
use crate::TIMEOUT;
use crate::harness::Shared;

pub async fn an_immutable_change_of_an_object_with_data_is_rejected(shared: &Shared) -> Result<()> {
    let name = "holds-data";
    let bundle = |setting, service, mode| {
        working_bundle(name, setting).object(stateful_set(service)).object(claim(mode))
    };
    // The test bed has no provisioner of volumes.
    shared.managed().await?.plane.apply_yaml(VOLUME).await?;
    let running = RunningAddOn::with(shared, name, bundle("old", "db", "ReadWriteOnce")).await?;
    let claim_before = running.object("v1", "PersistentVolumeClaim", "data").await?;
    let changed = Spec::inline(NEW, &bundle("new", "other", "ReadWriteOnce"));
    let words = ["StatefulSet holds-data/db"];
    running.expect_rejection(&changed, Reason::ImmutableField, &words).await?;
    let changed = Spec::inline(NEW, &bundle("new", "other", "ReadWriteMany"));
    let words =
        ["2 findings", "StatefulSet holds-data/db", "PersistentVolumeClaim holds-data/data"];
    running.expect_rejection(&changed, Reason::ImmutableField, &words).await?;
    ensure!(running.object("v1", "PersistentVolumeClaim", "data").await? == claim_before);
    running.upgrade_to(&Spec::inline(NEW, &bundle("new", "db", "ReadWriteOnce")), "new").await
}

pub async fn objects_without_data_are_replaced_by_an_immutable_change(
    shared: &Shared,
) -> Result<()> {
    let name = "replaced";
    let running =
        RunningAddOn::with(shared, name, replaceable(working_bundle(name, "old"), "one")).await?;
    let kinds = [
        ("v1", "ConfigMap", "fixed"),
        ("v1", "Secret", "fixed"),
        ("batch/v1", "Job", "migrate"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding", "bound"),
        ("apps/v1", "Deployment", "selects"),
    ];
    let mut before = Vec::new();
    for (api_version, kind, name) in kinds {
        before.push(running.object(api_version, kind, name).await?);
    }
    let settings = running.object("v1", "ConfigMap", "settings").await?;
    let new = replaceable(running.working_bundle("new"), "two");
    running.upgrade_to(&Spec::inline(NEW, &new), "new").await?;
    for ((api_version, kind, name), before) in kinds.into_iter().zip(&before) {
        let now = running.object(api_version, kind, name).await?;
        ensure!(uid(&now) != uid(before), "{kind} {name} is the same object: {now:#}");
        ensure!(content(&now).contains("two"), "{kind} {name} is as before: {now:#}");
    }
    ensure!(uid(&running.object("v1", "ConfigMap", "settings").await?) == uid(&settings));
    Ok(())
}

/// Returns an object without metadata as text, with the data of a Secret decoded.
fn content(object: &Value) -> String {
    let mut object = object.clone();
    object["metadata"] = json!(null);
    object.to_string().replace("dHdv", "two")
}

/// Returns one object of each kind that may be replaced, with its immutable field set to `value`.
fn replaceable(bundle: Bundle, value: &str) -> Bundle {
    let named = |name| json!({"name": name});
    let pods = |image: &str| {
        json!({
            "metadata": {"labels": {"select": value}},
            "spec": {
                "restartPolicy": if image == JOB { "Never" } else { "Always" },
                "containers": [{"name": "main", "image": image}],
            },
        })
    };
    bundle
        .object(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": named("fixed"),
            "immutable": true, "data": {"value": value},
        }))
        .object(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": named("fixed"),
            "immutable": true, "stringData": {"value": value},
        }))
        .object(json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": named("migrate"),
            "spec": {"template": pods(JOB)},
        }))
        .object(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": named("bound"), "subjects": [],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": value},
        }))
        .object(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": named("selects"),
            "spec": {
                "selector": {"matchLabels": {"select": value}}, "template": pods(READY),
            },
        }))
}

fn stateful_set(service: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {
            "serviceName": service,
            "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "main", "image": READY}]},
            },
        },
    })
}

fn claim(mode: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {
            "storageClassName": "", "volumeName": "holds-data", "accessModes": [mode],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    })
}

const VOLUME: &str = "
apiVersion: v1
kind: PersistentVolume
metadata: {name: holds-data}
spec:
  storageClassName: ''
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: /tmp/holds-data}
";

/// The immutable selector is not the only trouble, so there would be no Deployment after a deletion.
pub async fn nothing_is_deleted_whose_new_form_would_be_refused(shared: &Shared) -> Result<()> {
    let name = "not-replaced";
    let running =
        RunningAddOn::with(shared, name, replaceable(working_bundle(name, "old"), "one")).await?;
    let before = running.object("apps/v1", "Deployment", "selects").await?;
    let mut broken = replaceable(running.working_bundle("new"), "two").objects().to_vec();
    for object in broken.iter_mut().filter(|object| object["metadata"]["name"] == "selects") {
        object["spec"]["replicas"] = json!(-4);
    }
    let broken = broken.into_iter().fold(Bundle::new(), Bundle::object);
    let words = ["Deployment not-replaced/selects", "spec.replicas"];
    running.expect_rejection(&Spec::inline(NEW, &broken), Reason::ObjectRefused, &words).await?;
    ensure!(uid(&running.object("apps/v1", "Deployment", "selects").await?) == uid(&before));
    Ok(())
}

/// A label and a key of others, and a generated value that the bundle leaves alone, go over to the new object.
pub async fn a_replaced_object_keeps_what_others_own(shared: &Shared) -> Result<()> {
    let name = "keeps-others";
    let secret = |of: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": format!("example.com/{of}"),
            "metadata": {"name": "generated", "annotations": {
                "lifecycle.open-cluster-management.io/ignore-differences": "/data/password",
            }},
            "data": {"user": "dXNlcg==", "password": ""},
        })
    };
    let bundle = |setting, of| working_bundle(name, setting).object(secret(of));
    let running = RunningAddOn::with(shared, name, bundle("old", "one")).await?;
    let before = running.object("v1", "Secret", "generated").await?;
    let patch = json!({
        "metadata": {"labels": {"team": "a"}},
        "data": {"password": "c2VjcmV0", "more": "eA=="},
    });
    let line = "patch secret generated --namespace keeps-others --type merge --patch";
    running.managed.kubectl(&format!("{line} {patch}")).await?;
    running.upgrade_to(&Spec::inline(NEW, &bundle("new", "two")), "new").await?;
    let now = running.object("v1", "Secret", "generated").await?;
    ensure!(uid(&now) != uid(&before) && now["type"] == "example.com/two", "{now:#}");
    let expected = json!({"user": "dXNlcg==", "password": "c2VjcmV0", "more": "eA=="});
    ensure!(now["data"] == expected && now["metadata"]["labels"]["team"] == "a", "{now:#}");
    Ok(())
}

/// A write onto an object that is being deleted would vanish with it.
pub async fn an_object_that_is_being_deleted_is_created_after_its_end(
    shared: &Shared,
) -> Result<()> {
    let running = RunningAddOn::start(shared, "ending").await?;
    let before = running.object("v1", "ConfigMap", "settings").await?;
    let line = "configmap settings --namespace ending";
    let hold = r#"patch --type merge --patch {"metadata":{"finalizers":["example.com/held"]}}"#;
    running.managed.kubectl(&format!("{hold} {line}")).await?;
    running.managed.kubectl(&format!("delete --wait=false {line}")).await?;
    running.assign(&Spec::inline(NEW, &running.working_bundle("new"))).await?;
    let log = "ConfigMap ending/settings is being deleted; waiting for its end, held by finalizer example.com/held";
    until("the agent to wait", TIMEOUT, || async {
        Ok(running.managed.agent_log().contains(log).then_some(()))
    })
    .await?;
    let free = r#"patch --type merge --patch {"metadata":{"finalizers":null}}"#;
    running.managed.kubectl(&format!("{free} {line}")).await?;
    running.until_running(NEW, "new").await?;
    ensure!(uid(&running.object("v1", "ConfigMap", "settings").await?) != uid(&before));
    Ok(())
}

/// Kinds of the whole cluster that nothing is lost with.
pub async fn classes_are_replaced_by_an_immutable_change(shared: &Shared) -> Result<()> {
    let name = "classes";
    let with_classes = |setting, value: &str| {
        classes(value).into_iter().fold(working_bundle(name, setting), Bundle::object)
    };
    let running = RunningAddOn::with(shared, name, with_classes("old", "one")).await?;
    let new = Spec::inline(NEW, &with_classes("new", "two"));
    running.upgrade_to(&new, "new").await?;
    for class in classes("two") {
        let text = |field: &str| class[field].as_str().unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let class_name = class["metadata"]["name"].as_str().unwrap_or_default();
        let now = running.add_on.object(api_version, kind, "", class_name).await?;
        let now = now.with_context(|| format!("{kind} is gone"))?;
        for field in ["value", "handler"] {
            ensure!(now.get(field) == class.get(field), "{now:#}");
        }
        let spec = |object: &Value, field: &str| object["spec"][field].clone();
        for field in ["controller", "attachRequired"] {
            ensure!(spec(&now, field) == spec(&class, field), "{now:#}");
        }
    }
    Ok(())
}

fn classes(value: &str) -> [Value; 4] {
    let of = |api_version: &str, kind: &str, name: &str, field: &str, content: Value| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, field: content});
    let is_second = value == "two";
    let number = if is_second { 2000 } else { 1000 };
    let controller = format!("example.com/{value}");
    [
        of("scheduling.k8s.io/v1", "PriorityClass", "class", "value", json!(number)),
        of("node.k8s.io/v1", "RuntimeClass", "class", "handler", json!(value)),
        of(
            "networking.k8s.io/v1",
            "IngressClass",
            "class",
            "spec",
            json!({"controller": controller}),
        ),
        of(
            "storage.k8s.io/v1",
            "CSIDriver",
            "class.example.com",
            "spec",
            json!({"attachRequired": is_second}),
        ),
    ]
}
