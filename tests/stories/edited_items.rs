//! List items whose key somebody edited are put back. Those that somebody added stay.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use testbed::AddOn;
use testbed::bundle::{Bundle, READY, Spec};
use testbed::wait::until;

use crate::TIMEOUT;
use crate::harness::Shared;

const NAME: &str = "edited-items";

/// A repair puts them back, and so does an upgrade that finds them.
pub async fn items_with_an_edited_key_are_put_back(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let add_on = managed.add_on(NAME);
    add_on.assign(&spec("1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    let mut before = read(&add_on).await?;
    // Added beside ours.
    let added = json!({"name": "added", "port": 9000, "protocol": "TCP", "targetPort": 9000});
    patch(shared, "service web", &json!([{"op": "add", "path": "/spec/ports/-", "value": added}]))
        .await?;
    before[0]["ports"].as_array_mut().context("no ports")?.push(added);
    edit(shared, &add_on).await?;
    until("the items to be put back", TIMEOUT, || async {
        let now = read(&add_on).await?;
        if now == before { Ok(Some(())) } else { bail!("{now:?}") }
    })
    .await?;
    edit(shared, &add_on).await?;
    add_on.assign(&spec("1.1.0")).await?;
    add_on.until_available("1.1.0").await?;
    let now = read(&add_on).await?;
    ensure!(now == before, "{now:?}\ninstead of {before:?}");
    Ok(())
}

/// Edits keys of items, and of one port also another field.
async fn edit(shared: &Shared, add_on: &AddOn) -> Result<()> {
    let replace = |path: &str, value: Value| json!({"op": "replace", "path": path, "value": value});
    let container = "/spec/template/spec/containers/0";
    let web = add_on.object("v1", "Service", NAME, "web").await?.context("missing")?;
    let mut ports = web["spec"]["ports"].as_array().into_iter().flatten();
    let http = ports.position(|port| port["name"] == "http").context("no port http")?;
    let port = replace(&format!("/spec/ports/{http}/port"), json!(83));
    patch(shared, "service web", &json!([port])).await?;
    let ports = json!([
        replace("/spec/ports/0/port", json!(84)),
        replace("/spec/ports/0/targetPort", json!(1)),
    ]);
    patch(shared, "service more", &ports).await?;
    let keys = json!([
        replace(&format!("{container}/env/0/name"), json!("B")),
        replace(&format!("{container}/volumeMounts/0/mountPath"), json!("/b")),
        replace(&format!("{container}/ports/0/containerPort"), json!(81)),
    ]);
    patch(shared, "deployment web", &keys).await?;
    let name = json!([replace(&format!("{container}/name"), json!("other"))]);
    patch(shared, "deployment named", &name).await
}

async fn patch(shared: &Shared, object: &str, patch: &Value) -> Result<()> {
    let line = format!("patch {object} --namespace {NAME} --type json --patch {patch}");
    shared.managed().await?.kubectl(&line).await.map(drop)
}

/// Reads the specs. The order of ports means nothing.
async fn read(add_on: &AddOn) -> Result<Vec<Value>> {
    let mut specs = Vec::new();
    for (api_version, kind, name) in [
        ("v1", "Service", "web"),
        ("v1", "Service", "more"),
        ("apps/v1", "Deployment", "web"),
        ("apps/v1", "Deployment", "named"),
    ] {
        let object = add_on.object(api_version, kind, NAME, name).await?.context("missing")?;
        let mut spec = object["spec"].clone();
        if let Some(ports) = spec.get_mut("ports").and_then(Value::as_array_mut) {
            ports.sort_by_key(|port| port["port"].as_u64());
        }
        specs.push(spec);
    }
    Ok(specs)
}

fn spec(version: &str) -> Spec {
    let service = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        })
    };
    let mut web = testbed::bundle::workload("Deployment", "web", READY);
    web["spec"]["template"]["spec"] = json!({
        "volumes": [{"name": "data", "emptyDir": {}}],
        "containers": [{
            "name": "main", "image": READY, "env": [{"name": "A", "value": "x"}],
            "volumeMounts": [{"name": "data", "mountPath": "/a"}],
            "ports": [{"name": "http", "containerPort": 80}],
        }],
    });
    let bundle = Bundle::new()
        .namespace(NAME)
        .config("settings", version)
        .object(service("web"))
        .object(service("more"))
        .object(web)
        .deployment("named", READY);
    Spec::inline(version, &bundle).namespace(NAME)
}
